/* meeting.h: what the two files of the domain meeting share: events (meeting.c), queries
 * (meeting_query.c).
 *
 * Lifetime  constants.
 * Thread    any; pure.
 */
#ifndef WK_MEETING_H
#define WK_MEETING_H

#include "workers/domain.h"

#include <meeting.pb-c.h>

#define WK_MEETINGS   "meetings"
#define WK_ROSTERS    "meeting_rosters"
#define WK_CHECKINS   "checkins"
#define WK_ROSTER_MAX 5000

extern const struct wk_query_handler wk_meeting_queries[];

Yizhan__V1__MeetingState wk_meeting_state(const bson_t *meeting);

#endif
