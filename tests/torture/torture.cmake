# Each allocation of a frame's and a batch's way fails in turn: a library to preload, and the test that arms it.
add_library(allocations SHARED torture/allocations.c)
target_link_libraries(allocations PRIVATE yz_warnings dl)
yz_pytest(torture.frame torture 600 ${CMAKE_CURRENT_LIST_DIR}/test_allocations.py -k "not of_a_batch")
yz_pytest(torture.batch torture 900 ${CMAKE_CURRENT_LIST_DIR}/test_allocations.py -k of_a_batch)
