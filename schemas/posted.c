#include "schemas/posted.h"

#include <stddef.h>
#include <string.h>

static const char *const posted[] = {"complaint.read", "event.outcome_of_nonce", "member.search",
                                     NULL};

bool yz_query_posted(const char *type)
{
    size_t i = 0;

    while (posted[i] && strcmp(posted[i], type) != 0)
        i++;
    return posted[i];
}
