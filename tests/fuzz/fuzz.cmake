# One executable per fuzz_*.c, and fuzz_domain_<name> for every line of domains.def. With YZ_FUZZ (clang) it is a
# libFuzzer target: run it with its corpus folder (scripts/fuzz does). Without, it replays the corpus. Either way ctest
# runs the corpus as fuzz.replay.<target>.
add_library(yz_fuzz_checks STATIC fuzz/message_checks.c fuzz/bus_message.c)
target_link_libraries(yz_fuzz_checks PUBLIC yz_schemas PRIVATE yz_warnings)

# Its objects come before the gateway's archive, in whose stead they define some functions.
add_library(yz_fuzz_edge OBJECT fuzz/edge.c)
target_link_libraries(yz_fuzz_edge PUBLIC yz_gateway PRIVATE yz_warnings)

add_library(yz_fuzz_quiet OBJECT fuzz/quiet.c)
target_link_libraries(yz_fuzz_quiet PUBLIC yz_common PRIVATE yz_warnings)
target_link_options(yz_fuzz_quiet INTERFACE -Wl,--wrap=yz_log_write)

function(yz_fuzz_target target source)
  set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${target})
  if(source MATCHES "/fuzz_domain\\.c$")
    # A new domain begins with each of its messages empty.
    set(own ${corpus})
    set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/fuzz_domain)
    if(IS_DIRECTORY ${own})
      list(APPEND corpus ${own})
    endif()
  endif()
  add_executable(${target} ${source})
  target_link_libraries(${target} PRIVATE yz_fuzz_checks ${ARGN} yz_warnings)
  if(YZ_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz.replay.${target} COMMAND ${target} -runs=0 ${corpus})
  else()
    target_sources(${target} PRIVATE fuzz/replay.c)
    add_test(NAME fuzz.replay.${target} COMMAND ${target} ${corpus})
  endif()
  set_tests_properties(fuzz.replay.${target} PROPERTIES LABELS fuzz TIMEOUT 120)
endfunction()

# What a target drives, when it is more than the schemas.
set(fuzz_needs_codec test_scalars)
set(fuzz_needs_session yz_fuzz_edge yz_gateway)
set(fuzz_needs_channels yz_fuzz_quiet yz_gateway)
set(fuzz_needs_token yz_gateway)
set(fuzz_needs_http yz_fuzz_edge yz_gateway)
set(fuzz_needs_wire yz_fuzz_edge yz_gateway)
set(fuzz_needs_envelope yz_ctl)
set(fuzz_needs_code yz_worker)
set(fuzz_needs_fold yz_fuzz_quiet yz_worker)
set(fuzz_needs_jetstream yz_fuzz_quiet yz_ctl)
set(fuzz_needs_flags yz_ctl)

file(GLOB fuzz_sources CONFIGURE_DEPENDS fuzz/fuzz_*.c)
foreach(source ${fuzz_sources})
  get_filename_component(target ${source} NAME_WE)
  if(NOT target STREQUAL fuzz_domain)
    string(REPLACE "fuzz_" "" stem ${target})
    yz_fuzz_target(${target} ${source} ${fuzz_needs_${stem}})
  endif()
endforeach()

foreach(domain ${YZ_DOMAINS})
  yz_fuzz_target(fuzz_domain_${domain} fuzz/fuzz_domain.c)
  target_compile_definitions(fuzz_domain_${domain} PRIVATE YZ_FUZZ_DOMAIN=${domain})
endforeach()

# The target learns which documents a handler looks at.
target_link_options(fuzz_fold PRIVATE -Wl,--wrap=wk_need)
