#include "common/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t yz_clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

int64_t yz_clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

int64_t yz_clock_mono_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t yz_clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

/* Not pthread_cond_timedwait: under libfaketime, as in the runs with faults, that one is over at
 * once. */
int yz_clock_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, int64_t until_mono_ms)
{
    struct timespec until = {.tv_sec = until_mono_ms / 1000,
                             .tv_nsec = until_mono_ms % 1000 * 1000000};

    return pthread_cond_clockwait(cond, mutex, CLOCK_MONOTONIC, &until);
}

#define SECONDS_MIN (-62135596800LL) /* 0001-01-01T00:00:00Z */
#define SECONDS_MAX 253402300799LL   /* 9999-12-31T23:59:59Z */

bool yz_clock_format(int64_t seconds, int32_t nanos, char out[YZ_RFC3339_MAX])
{
    struct tm tm;
    time_t t = (time_t)seconds;
    int digits = nanos == 0 ? 0 : nanos % 1000000 == 0 ? 3 : nanos % 1000 == 0 ? 6 : 9;
    int fraction = digits == 3 ? nanos / 1000000 : digits == 6 ? nanos / 1000 : nanos;
    size_t len;

    if (seconds < SECONDS_MIN || seconds > SECONDS_MAX || nanos < 0 || nanos > 999999999)
        return false;
    gmtime_r(&t, &tm);
    len = (size_t)snprintf(out, YZ_RFC3339_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year + 1900,
                           tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if (digits > 0)
        len += (size_t)snprintf(out + len, YZ_RFC3339_MAX - len, ".%0*d", digits, fraction);
    snprintf(out + len, YZ_RFC3339_MAX - len, "Z");
    return true;
}

/* Exactly `count` digits at *p, moved behind them; -1 when there are fewer. */
static int digits_at(const char **p, const char *end, int count)
{
    int value = 0;

    if (end - *p < count)
        return -1;
    for (int i = 0; i < count; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return -1;
        value = value * 10 + (**p - '0');
    }
    return value;
}

static bool literal_at(const char **p, const char *end, char upper)
{
    if (*p >= end || (**p != upper && **p != (char)(upper | 0x20)))
        return false;
    (*p)++;
    return true;
}

static bool fraction_at(const char **p, const char *end, int32_t *nanos)
{
    int count = 0;

    *nanos = 0;
    if (*p >= end || **p != '.')
        return true;
    for ((*p)++; *p < end && **p >= '0' && **p <= '9'; (*p)++, count++) {
        if (count >= 9)
            return false;
        *nanos = *nanos * 10 + (**p - '0');
    }
    for (int i = count; i < 9; i++)
        *nanos *= 10;
    return count > 0;
}

static bool offset_at(const char **p, const char *end, int64_t *offset_s)
{
    int hours, minutes, sign;

    *offset_s = 0;
    if (literal_at(p, end, 'Z'))
        return true;
    if (*p >= end || (**p != '+' && **p != '-'))
        return false;
    sign = **p == '+' ? 1 : -1;
    (*p)++;
    hours = digits_at(p, end, 2);
    if (hours < 0 || hours > 23 || *p >= end || *(*p)++ != ':')
        return false;
    minutes = digits_at(p, end, 2);
    if (minutes < 0 || minutes > 59)
        return false;
    *offset_s = (int64_t)sign * (hours * 3600 + minutes * 60);
    return true;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar; false when there is no such day. Years
 * begin in March here, so that a leap day is the last of its year. */
static bool days_until(int year, int month, int day, int64_t *days)
{
    static const int8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    int y = month > 2 ? year : year - 1, m = month > 2 ? month - 3 : month + 9;

    if (month < 1 || month > 12 || day < 1 || day > lengths[month - 1] ||
        (month == 2 && day == 29 && !leap))
        return false;
    *days = 365LL * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
    return true;
}

/* "YYYY-MM-DD" and a T. */
static bool date_at(const char **p, const char *end, int64_t *days)
{
    int year = digits_at(p, end, 4), month, day;

    if (year < 1 || *p >= end || *(*p)++ != '-')
        return false;
    month = digits_at(p, end, 2);
    if (month < 0 || *p >= end || *(*p)++ != '-')
        return false;
    day = digits_at(p, end, 2);
    return day >= 0 && literal_at(p, end, 'T') && days_until(year, month, day, days);
}

/* "hh:mm:ss" */
static bool time_at(const char **p, const char *end, int *second)
{
    int hours = digits_at(p, end, 2), minutes, seconds;

    if (hours < 0 || hours > 23 || *p >= end || *(*p)++ != ':')
        return false;
    minutes = digits_at(p, end, 2);
    if (minutes < 0 || minutes > 59 || *p >= end || *(*p)++ != ':')
        return false;
    seconds = digits_at(p, end, 2);
    *second = hours * 3600 + minutes * 60 + seconds;
    return seconds >= 0 && seconds <= 59;
}

bool yz_clock_parse(const char *text, size_t len, int64_t *seconds, int32_t *nanos)
{
    const char *p = text, *end = text + len;
    int64_t days = 0, offset_s;
    int second;

    if (!date_at(&p, end, &days) || !time_at(&p, end, &second) || !fraction_at(&p, end, nanos) ||
        !offset_at(&p, end, &offset_s) || p != end)
        return false;
    *seconds = days * 86400 + second - offset_s;
    return *seconds >= SECONDS_MIN && *seconds <= SECONDS_MAX;
}
