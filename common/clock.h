/* clock.h: time. Wall-clock times are int64_t milliseconds (_us: microseconds) since the Unix epoch
 * (name: _ms); durations and deadlines use the monotonic clock (name: _mono_ms).
 *
 * Thread    any.
 * Lifetime  none.
 */
#ifndef YZ_CLOCK_H
#define YZ_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int64_t yz_clock_wall_ms(void);
int64_t yz_clock_wall_us(void);
int64_t yz_clock_mono_ms(void);
int64_t yz_clock_mono_us(void);
/* Wait for cond (of the default clock) until that time of the monotonic clock; mutex is held before
 * and after. 0: signalled, or for no reason; ETIMEDOUT: it is time. */
int yz_clock_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_mono_ms);

#define YZ_RFC3339_MAX 40
/* "2026-03-01T08:00:00.123Z"; nanos 0..999,999,999, fraction in 0, 3, 6 or 9 digits as proto3 JSON
 * asks. false when seconds is outside years 0001..9999. */
bool yz_clock_format(int64_t seconds, int32_t nanos, char out[YZ_RFC3339_MAX]);
/* Parse RFC 3339 with Z or an offset; false when it is none (text of len bytes, no NUL needed). */
bool yz_clock_parse(const char *text, size_t len, int64_t *seconds, int32_t *nanos);

#endif
