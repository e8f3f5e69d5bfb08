# Short runs with faults, and the tests of what makes and judges them. scripts/faults runs the long ones.
function(yz_faults_run name timeout)
  add_test(NAME ${name}
    COMMAND sh -c "exec \"\${YZ_PYTHON:-python3}\" \"$@\"" run ${CMAKE_CURRENT_LIST_DIR}/campaign.py ${ARGN})
  set_tests_properties(${name} PROPERTIES LABELS faults TIMEOUT ${timeout}
    ENVIRONMENT "YZ_BUILD_DIR=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endfunction()

yz_faults_run(faults.run 600 --seed 101 --minutes 0.7
  --fault kill_worker --fault kill_nats --fault lose_one_way --fault poison)
yz_faults_run(faults.cluster 600 --seed 104 --minutes 0.7 --cluster
  --fault kill_leader --fault slow_replica --fault freeze_leader --fault kill_gateway)
# No partition_node here: nats-server 2.12.15 can leave a replica that was parted under load for good in "Expected first
# catchup entry to be a snapshot and peerstate, will retry" (k8s/RUNBOOK.md). scripts/faults --cluster has it.

file(GLOB faults_files CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/test_*.py)
foreach(file ${faults_files})
  get_filename_component(stem ${file} NAME_WE)
  string(REPLACE "test_" "" name ${stem})
  set(label faults)
  if(name STREQUAL "checker") # no service, seconds
    set(label unit)
  endif()
  if(name STREQUAL "kinds") # each kind alone, on one NATS server and on three
    yz_pytest(kinds.single kinds 1200 ${file} -k single)
    yz_pytest(kinds.cluster kinds 1800 ${file} -k cluster)
  elseif(NOT name STREQUAL "runbook")
    yz_pytest(faults.${name} ${label} 600 ${file})
  endif()
endforeach()

# Every row of k8s/RUNBOOK.md once, in parts, so that two cores stay busy.
set(runbook ${CMAKE_CURRENT_LIST_DIR}/test_runbook.py)
set(of_processes "kill_ or freeze_ or restart_ or _away")
set(of_links "reset or refuse or _one_way or delay or slice or narrow")
yz_pytest(faults.runbook.processes faults 600 ${runbook} -k "not test_fault or one_server and (${of_processes})")
yz_pytest(faults.runbook.links faults 600 ${runbook} -k "one_server and not (${of_processes}) and (${of_links})")
yz_pytest(faults.runbook.others faults 600 ${runbook} -k "one_server and not (${of_processes} or ${of_links})")
yz_pytest(faults.runbook.cluster faults 600 ${runbook} -k "of_a_cluster")
