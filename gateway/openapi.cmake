# cmake -DOUT=FILE.c -DFILE=openapi.json -P openapi.cmake: the document's bytes as C, and its ETag.
file(READ ${FILE} hex HEX)
file(SHA256 ${FILE} hash)
string(SUBSTRING ${hash} 0 32 etag)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include \"gateway/openapi.h\"
static const unsigned char text[] = {${bytes}};
const struct gw_openapi gw_openapi = {\"\\\"${etag}\\\"\", text, sizeof text};
")
