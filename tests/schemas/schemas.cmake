# A message with every kind of field, for the codec's tests.
set(test_gen ${CMAKE_CURRENT_BINARY_DIR}/gen)
file(MAKE_DIRECTORY ${test_gen})
add_custom_command(OUTPUT ${test_gen}/scalars.pb-c.c ${test_gen}/scalars.pb-c.h
  COMMAND ${PROTOC_C} --c_out=${test_gen} -I${CMAKE_CURRENT_SOURCE_DIR}/schemas -I${PROTOBUF_INCLUDE}
          ${CMAKE_CURRENT_SOURCE_DIR}/schemas/scalars.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/schemas/scalars.proto)
add_library(test_scalars STATIC ${test_gen}/scalars.pb-c.c)
target_include_directories(test_scalars SYSTEM PUBLIC ${test_gen})
target_link_libraries(test_scalars PUBLIC yz_proto)
foreach(module codec_json codec_pb codec_pairs)
  target_link_libraries(unit_schemas_${module} PRIVATE test_scalars)
endforeach()
target_compile_definitions(unit_schemas_protocol PRIVATE
  PROTOCOL_MD="${CMAKE_SOURCE_DIR}/schemas/PROTOCOL.md")

# The expectation of the rules stands in a document.
set_property(TEST unit.schemas.authority APPEND PROPERTY ENVIRONMENT
  "YZ_AUTHORITY=${CMAKE_SOURCE_DIR}/schemas/AUTHORITY.md")

# What a contract says of a payload: schemas/openapi.json is written with it.
add_executable(ask_contract ${CMAKE_CURRENT_SOURCE_DIR}/schemas/ask_contract.c)
target_link_libraries(ask_contract PRIVATE yz_schemas yz_warnings)
