# Each file of tests/integration is a ctest entry; the long ones are several, so that two cores stay busy.
# YZ_PYTHON, YZ_NATS_SERVER and YZ_DATABASE_SERVER come from the environment (scripts/test sets them).
set(integration_dir ${CMAKE_CURRENT_LIST_DIR})

# A sanitizer makes programs several times slower.
set(pytest_patience 1)
if(CMAKE_C_FLAGS MATCHES "-fsanitize")
  set(pytest_patience 5)
endif()

function(yz_pytest name labels timeout file)
  add_test(NAME ${name}
    COMMAND sh -c "exec \"\${YZ_PYTHON:-python3}\" -m pytest -q -p no:cacheprovider --tb=short \"$@\"" pytest ${file} ${ARGN}
    WORKING_DIRECTORY ${integration_dir})
  math(EXPR seconds "${timeout} * ${pytest_patience}")
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${seconds}
    ENVIRONMENT "YZ_BUILD_DIR=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endfunction()

file(GLOB integration_files CONFIGURE_DEPENDS ${integration_dir}/test_*.py)
foreach(file ${integration_files})
  get_filename_component(stem ${file} NAME_WE)
  string(REPLACE "test_" "" name ${stem})
  if(name STREQUAL "metrics")
    yz_pytest(check.metrics integration 300 ${file})
  elseif(NOT name MATCHES "^(faults|timers)$")
    yz_pytest(it.${name} integration 300 ${file})
  endif()
endforeach()

set(faults ${integration_dir}/test_faults.py)
yz_pytest(it.faults.killed integration 300 ${faults} -k "killed_in_mid_batch")
yz_pytest(it.faults.workers integration 300 ${faults} -k "(worker or partitions) and not killed_in_mid_batch")
yz_pytest(it.faults.others integration 300 ${faults} -k "not worker and not partitions")

set(timers ${integration_dir}/test_timers.py)
yz_pytest(it.timers.workers integration 300 ${timers} -k "worker")
yz_pytest(it.timers.others integration 300 ${timers} -k "not worker")

# The run that decides whether the relay counts as done.
yz_pytest(load.relay load 900 ${integration_dir}/../load/test_relay_load.py)
yz_pytest(load.overload load 900 ${integration_dir}/../load/test_overload_load.py)
# A third of the seconds: each accepted event is asked after. tests/load/overload.py by itself takes them all.
set_property(TEST load.overload APPEND PROPERTY ENVIRONMENT "YZ_LOAD_SCALE=0.3")
