#include "schemas/json.h"

#include "common/memory.h"

json_t *yz_json_load(const char *text, size_t len, size_t flags, json_error_t *error)
{
    unsigned refusals = yz_memory_refusals();
    json_t *root = json_loadb(text, len, flags, error);

    if (yz_memory_refusals() == refusals)
        return root;
    json_decref(root);
    return NULL;
}
