#include "dist/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random_bytes.h"
#include "base/sha256.h"
#include "dist/variables.h"

int secret_make(char text[SECRET_TEXT_BYTES], struct error *error)
{
    uint8_t bytes[32];
    const int status = random_bytes(bytes, sizeof bytes, error);

    for (size_t i = 0; status == STATUS_OK && i < sizeof bytes; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return status;
}

static int check_length(const char *place, size_t length, struct error *error)
{
    if (length >= SECRET_LEAST && length <= SECRET_MOST)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "the secret in %s has %zu characters; expected %d to %d (`openssl rand -hex 32` makes a good one)",
                     place, length, SECRET_LEAST, SECRET_MOST);
}

/* Whether an open file is one that others can neither read nor have put there. */
static int check_file(int handle, const char *path, struct error *error)
{
    struct stat status;

    if (fstat(handle, &status) != 0)
        return error_set(error, STATUS_USAGE, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, STATUS_USAGE, "%s is no regular file; expected one with the job's secret", path);
    if ((status.st_mode & 077) != 0)
        return error_set(error, STATUS_USAGE, "%s has mode %04o, so others can use the secret in it; expected 0600",
                         path, (unsigned)status.st_mode & 07777);
    if (status.st_uid != geteuid())
        return error_set(error, STATUS_USAGE, "%s belongs to user %u; expected a file of user %u, who runs this", path,
                         (unsigned)status.st_uid, (unsigned)geteuid());
    return STATUS_OK;
}

static int read_file(const char *path, char text[SECRET_TEXT_BYTES], struct error *error)
{
    const int handle = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char line[SECRET_TEXT_BYTES + 1];
    ssize_t bytes = 0;
    int status;

    if (handle < 0)
        return error_set(error, STATUS_USAGE, "%s: %s", path, file_problem_text(errno));
    status = check_file(handle, path, error);
    if (status == STATUS_OK && (bytes = read(handle, line, sizeof line - 1)) < 0)
        status = error_set(error, STATUS_USAGE, "%s: %s", path, strerror(errno));
    close(handle);
    if (status != STATUS_OK)
        return status;
    line[bytes] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    status = check_length(path, strlen(line), error);
    if (status == STATUS_OK)
        snprintf(text, SECRET_TEXT_BYTES, "%s", line);
    return status;
}

int secret_find(char *const *variables, const char *run_folder, char text[SECRET_TEXT_BYTES], struct error *error)
{
    const char *given = variable_find(variables, "LLMRUN_SECRET");
    char path[PATH_MAX];

    if (given != NULL) {
        if (check_length("LLMRUN_SECRET", strlen(given), error) != STATUS_OK)
            return STATUS_USAGE;
        snprintf(text, SECRET_TEXT_BYTES, "%s", given);
        return STATUS_OK;
    }
    if (run_folder != NULL && run_folder[0] != '\0') {
        if (!file_join(path, sizeof path, run_folder, ".secret"))
            return error_set(error, STATUS_USAGE, "the path of the run folder %.200s... is too long", run_folder);
        if (access(path, F_OK) == 0)
            return read_file(path, text, error);
    }
    return error_set(
        error, STATUS_USAGE,
        "the ranks share no secret, so anybody could join them: set LLMRUN_SECRET to the same text for all "
        "of them (`export LLMRUN_SECRET=$(openssl rand -hex 32)` before the job starts)%s%s%s",
        run_folder != NULL ? ", or write it into " : "",
        run_folder == NULL      ? ""
        : run_folder[0] != '\0' ? run_folder
                                : "RUN_DIR",
        run_folder != NULL ? "/.secret, a file of mode 0600 that all of them see" : "");
}

void secret_key(const char *text, uint8_t key[SECRET_KEY_BYTES])
{
    static const char purpose[] = "llmrun control channel, version 1";
    struct hmac hmac;

    hmac_init(&hmac, text, strlen(text));
    hmac_add(&hmac, purpose, sizeof purpose);
    hmac_finish(&hmac, key);
}
