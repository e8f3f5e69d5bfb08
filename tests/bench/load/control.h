/* control.h: how run.py drives a load program: a line on standard input asks, a line of JSON on
 * standard output answers.
 *
 *     > run seconds=1.5 inflight=8
 *     < {"deliveries":120000,"wrong":0}
 *
 * A line is a word and key=value pairs without blanks in them. Standard input's end ends the
 * program, so that nothing stays behind when run.py is killed.
 *
 * Lifetime  of the program. Thread    the loop's.
 */
#ifndef BENCH_CONTROL_H
#define BENCH_CONTROL_H

#include "loop.h"

#include <stdbool.h>
#include <stddef.h>

#define CONTROL_LINE_MAX 4096

/* on_command(word, line): line holds the pairs. Answer now or later, once, by control_answer. */
void control_init(struct loop *loop, void (*on_command)(const char *word, const char *line));
/* One line of JSON. */
void control_answer(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* {"error":"..."}: run.py fails the scenario with the text. */
void control_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Value of a pair, else the fallback. */
double control_number(const char *line, const char *key, double fallback);
/* false: it is not there; out is "" then. */
bool control_text(const char *line, const char *key, char *out, size_t size);

#endif
