#include "common/presence.h"

#include "common/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

size_t yz_presence_write(const struct yz_presence *p, char out[YZ_PRESENCE_MAX])
{
    char host[65] = "", troubles[YZ_TROUBLES_TEXT_MAX];
    int len;

    gethostname(host, sizeof host - 1);
    if (yz_troubles_json(p->troubles, troubles, sizeof troubles) == 0)
        return 0;
    len = snprintf(out, YZ_PRESENCE_MAX,
                   "{\"kind\":\"%s\",\"id\":\"%s\",\"version\":\"%s\",\"host\":\"%s\",\"pid\":%d,"
                   "\"started_ms\":%lld,\"now_ms\":%lld,\"ready\":%s,\"reason\":\"%s\","
                   "\"load\":{\"%s\":%lld},\"open_fds\":%lld,\"max_fds\":%lld,\"troubles\":%s}",
                   p->kind, p->id, YZ_VERSION, host, (int)getpid(),
                   (long long)p->process->started_s * 1000, (long long)yz_clock_wall_ms(),
                   p->ready ? "true" : "false", p->ready || !p->reason ? "" : p->reason,
                   p->load_name, (long long)p->load, (long long)p->process->open_fds,
                   (long long)p->process->max_fds, troubles);
    return len > 0 && len < YZ_PRESENCE_MAX ? (size_t)len : 0;
}
