/* conf.h: the configuration of all programs, from one table (conf.def).
 *
 * Lifetime  parsed once at start, then passed down as a const struct; strings live as long as the
 * process. Thread    any, once parsed. Errors    all of them are printed at once, then
 * yz_conf_parse says false (the program exits with 2).
 *
 * A value comes from the flag, else from the environment, else from the table's default.
 */
#ifndef YZ_CONF_H
#define YZ_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Which program a setting belongs to. */
enum yz_conf_who { YZ_CONF_GATEWAY = 1, YZ_CONF_WORKER = 2, YZ_CONF_CTL = 4 };

struct yz_conf {
#define INT(who, field, def, min, max, help) int64_t field;
#define STR(who, field, def, help)           const char *field;
#include "common/conf.def"
#undef INT
#undef STR
};

/* Parse argv[1..argc) and the environment for the program `who`. Flags are --name VALUE or
 * --name=VALUE.
 * --help prints the settings to standard output, --version the version; both exit(0).
 * usage: text above the settings in --help. Parsing stops at the first word that is no flag, or
 * behind
 * "--"; *rest (may be NULL: then such a word is an error) is its index, argc if there is none. */
bool yz_conf_parse(struct yz_conf *conf, enum yz_conf_who who, int argc, char **argv,
                   const char *usage, int *rest);

/* The settings of `who` as help text, or of all programs as a Markdown table (the README's). */
void yz_conf_help(FILE *out, enum yz_conf_who who);
void yz_conf_markdown(FILE *out);

#endif
