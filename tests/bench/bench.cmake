# The benchmark's programs, what they are held against, and the run that keeps them from rotting. Of load/, what several
# programs use is the library yz_bench; a file with a main of its own is one program, bench_<file>; of baseline/ each is one.
set(bench_dir ${CMAKE_CURRENT_LIST_DIR})
set(bench_programs arrival crowd fill_events ingest posts)
set(bench_baselines bare_loop bulk_insert parts publish_async)

file(GLOB bench_sources CONFIGURE_DEPENDS ${bench_dir}/load/*.c)
foreach(program ${bench_programs})
  list(REMOVE_ITEM bench_sources ${bench_dir}/load/${program}.c)
endforeach()
add_library(yz_bench STATIC ${bench_sources})
target_include_directories(yz_bench PUBLIC ${bench_dir}/load)
target_link_libraries(yz_bench PUBLIC PkgConfig::NATS PkgConfig::CRYPTO PkgConfig::SSL Threads::Threads m
                      PRIVATE yz_warnings)

foreach(program ${bench_programs})
  add_executable(bench_${program} ${bench_dir}/load/${program}.c)
  target_link_libraries(bench_${program} PRIVATE yz_bench yz_warnings)
endforeach()
# Events in the bus format, with codes that stand: the workers' own sources make them.
target_link_libraries(bench_fill_events PRIVATE yz_worker)
foreach(program ${bench_baselines})
  add_executable(bench_${program} ${bench_dir}/baseline/${program}.c)
  target_link_libraries(bench_${program} PRIVATE yz_bench yz_schemas PkgConfig::MONGOC yz_warnings)
  # mongoc takes shared memory at a program's start, also of one that only was linked with it.
  target_link_options(bench_${program} PRIVATE LINKER:--as-needed)
endforeach()
foreach(program ${bench_programs} ${bench_baselines})
  set_target_properties(bench_${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)
endforeach()

if(YZ_TESTS)
  foreach(module histogram marker schedule wire ws)
    add_executable(unit_bench_${module} ${bench_dir}/test_${module}.c)
    target_link_libraries(unit_bench_${module} PRIVATE yz_bench PkgConfig::CMOCKA yz_warnings)
    add_test(NAME unit.bench.${module} COMMAND unit_bench_${module})
    set_tests_properties(unit.bench.${module} PROPERTIES LABELS unit TIMEOUT 120)
  endforeach()

  yz_pytest(bench.report unit 120 ${bench_dir}/test_report.py)
  yz_pytest(bench.tap unit 120 ${bench_dir}/test_tap.py)

  # Every scenario in seconds, with sizes that measure nothing: that it works, and that all that was sent arrives.
  add_test(NAME bench.smoke
    COMMAND sh -c "exec \"\${YZ_PYTHON:-python3}\" \"$0\" --smoke --out \"$1\"" ${bench_dir}/run.py
            ${CMAKE_BINARY_DIR}/bench/smoke)
  math(EXPR bench_seconds "300 * ${pytest_patience}")
  set_tests_properties(bench.smoke PROPERTIES LABELS bench TIMEOUT ${bench_seconds}
    ENVIRONMENT "YZ_BUILD_DIR=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endif()
