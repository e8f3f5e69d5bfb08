/* lesson.h: what the contract and the handlers of the domain lesson both compute of a lesson.
 *
 * Lifetime  what is returned is borrowed from the content.
 * Thread    any; pure.
 * Limits    as the constants say.
 */
#ifndef YZ_LESSON_H
#define YZ_LESSON_H

#include <lesson.pb-c.h>
#include <stddef.h>

#define YZ_LESSON_BLOCKS_MAX       64
#define YZ_LESSON_QUESTIONS_MAX    20
#define YZ_LESSON_CHOICES_MAX      8
#define YZ_LESSON_DURATION_MAX_MS  300000
#define YZ_LESSON_BUNDLE_MAX_BYTES 262144

/* NULL: the block is a text, or empty. */
const Yizhan__V1__LessonMedia *yz_lesson_block_media(const Yizhan__V1__LessonBlock *block);
/* Sounds, films and reading time; more than the maximum is told as more. */
uint64_t yz_lesson_duration_ms(const Yizhan__V1__LessonContent *content);
/* The media of the blocks in their order, each hash once; their count. */
size_t yz_lesson_media(const Yizhan__V1__LessonContent *content,
                       Yizhan__V1__LessonMedia *media[YZ_LESSON_BLOCKS_MAX]);

#endif
