/* Runs a fuzz target over files and folders of files: where there is no libFuzzer, its corpus is an
 * ordinary test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX (1 << 20)

static int replay_file(const char *path)
{
    static uint8_t input[INPUT_MAX];
    FILE *file = fopen(path, "rb");
    uint8_t *copy;
    size_t len;

    if (!file) {
        perror(path);
        return 1;
    }
    len = fread(input, 1, sizeof input, file);
    fclose(file);
    /* A copy of exactly this size, so that a sanitizer sees a read beyond it. */
    copy = malloc(len ? len : 1);
    if (!copy)
        return 1;
    for (size_t i = 0; i < len; i++)
        copy[i] = input[i];
    LLVMFuzzerTestOneInput(copy, len);
    free(copy);
    return 0;
}

int main(int argc, char **argv)
{
    int count = 0, failed = 0;

    for (int i = 1; i < argc; i++) {
        DIR *folder = opendir(argv[i]);
        const struct dirent *entry;

        if (!folder) {
            failed |= replay_file(argv[i]);
            count++;
            continue;
        }
        while ((entry = readdir(folder)) != NULL) {
            char path[4096];

            if (entry->d_name[0] == '.')
                continue;
            snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
            failed |= replay_file(path);
            count++;
        }
        closedir(folder);
    }
    printf("%d inputs replayed\n", count);
    return failed || count == 0;
}
