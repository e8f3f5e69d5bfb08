/* lesson.h: what the files of the domain lesson share, and what a session of study asks of a
 * lesson: events (lesson.c), queries (lesson_query.c).
 *
 * Lifetime  constants; what is returned is borrowed from the document.
 * Thread    any; pure.
 *
 * A version, _id "<tenant>|<lesson>|<version>": org_path, lesson_id, version, revision, kind,
 * title, content (a LessonContent), answers (the right choices of each question, a bit each),
 * duration_ms, question_count, release_at, scheduled_by, scheduled_at, state; once released
 * released_at and sequence, which is that of the release; withdrawn_by, withdrawn_at, reason. A
 * lesson, _id "<tenant>|<lesson>": what the feed shows of the version released last.
 */
#ifndef WK_LESSON_H
#define WK_LESSON_H

#include "workers/domain.h"

#include <lesson.pb-c.h>

#define WK_LESSONS         "lessons"
#define WK_LESSON_VERSIONS "lesson_versions"

extern const struct wk_query_handler wk_lesson_queries[];

void wk_lesson_id(char out[WK_ID_MAX], const char *tenant, const char *lesson_id);
void wk_lesson_version_id(char out[WK_ID_MAX], const char *tenant, const char *lesson_id,
                          uint32_t version);
Yizhan__V1__LessonState wk_lesson_state(const bson_t *version);
/* The stored LessonContent; its length. */
const uint8_t *wk_lesson_content(const bson_t *version, uint32_t *len);

#endif
