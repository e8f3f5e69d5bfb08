# Checks of the tree itself: what stands in two places says the same in both, and what must not be committed is not.
# YZ_PYTHON is an interpreter with tests/requirements.txt; scripts/test sets it.
foreach(check settings rules openapi errors domains headers committed kubernetes alerts mutants security)
  add_test(NAME check.${check}
    COMMAND sh -c "exec \"\${YZ_PYTHON:-python3}\" -m pytest -q -p no:cacheprovider \"$0\""
            ${CMAKE_CURRENT_SOURCE_DIR}/checks/test_${check}.py
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(check.${check} PROPERTIES LABELS check TIMEOUT 120
    ENVIRONMENT "YZ_BUILD_DIR=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")
endforeach()

# promtool plays half an hour for each alert, twice.
set_tests_properties(check.alerts PROPERTIES TIMEOUT 300)

# The demo against a stack of its own.
add_test(NAME it.demo
  COMMAND sh -c "exec \"\${YZ_PYTHON:-python3}\" -m pytest -q -p no:cacheprovider \"$0\""
          ${CMAKE_CURRENT_SOURCE_DIR}/checks/test_demo.py
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(it.demo PROPERTIES LABELS integration TIMEOUT 300
  ENVIRONMENT "YZ_BUILD_DIR=${CMAKE_BINARY_DIR};PYTHONDONTWRITEBYTECODE=1")

# Formatting, clang-tidy, banned calls, shell and Python; it yields to what runs beside it.
add_test(NAME check.lint COMMAND ${CMAKE_SOURCE_DIR}/scripts/lint ${CMAKE_BINARY_DIR})
set_tests_properties(check.lint PROPERTIES LABELS lint TIMEOUT 1200)

# What scripts/up builds: optimised, the compiler sees more, and each warning is an error there, too.
add_test(NAME check.release
  COMMAND sh -c "\"$0\" --preset release -S \"$1\" -B \"$2\" >/dev/null && exec \"$0\" --build \"$2\" --parallel 1"
          ${CMAKE_COMMAND} ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/release
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
set_tests_properties(check.release PROPERTIES LABELS check TIMEOUT 900)
