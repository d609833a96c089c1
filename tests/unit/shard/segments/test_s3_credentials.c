/* Where the key of the object store is looked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"
#include "shard/segments/s3_credentials.h"

struct bench {
    char dir[64], file[80];
    struct config cfg;
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void point_at(struct bench *b, const char *path)
{
    free(b->cfg.s3_credentials);
    b->cfg.s3_credentials = xstrdup(path);
}

static void forget_environment(void)
{
    unsetenv("CREDENTIALS_DIRECTORY");
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SECRET_ACCESS_KEY");
    unsetenv("AWS_SESSION_TOKEN");
}

static int setup(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    strcpy(b->dir, "/tmp/streamd-test-XXXXXX");
    assert_non_null(mkdtemp(b->dir));
    snprintf(b->file, sizeof b->file, "%s/s3", b->dir);
    config_init(&b->cfg);
    forget_environment();
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    forget_environment();
    unlink(b->file);
    rmdir(b->dir);
    config_clear(&b->cfg);
    free(b);
    return 0;
}

static void a_file_like_that_of_the_aws_tools(void **state)
{
    struct bench *b = *state;
    struct s3_credentials c;
    write_file(b->file, "[other]\naws_access_key_id = no\n[default]\n aws_access_key_id=key \n"
                        "aws_secret_access_key = a secret=\nregion = x\naws_session_token = token\n[more]\n"
                        "aws_access_key_id = no\n");
    point_at(b, b->file);
    assert_true(s3_credentials_find(&b->cfg, &c));
    assert_string_equal(c.key, "key");
    assert_string_equal(c.secret, "a secret=");
    assert_string_equal(c.token, "token");
}

static void the_folder_of_systemd(void **state)
{
    struct bench *b = *state;
    struct s3_credentials c;
    write_file(b->file, "aws_access_key_id = key\naws_secret_access_key = secret\n");
    setenv("CREDENTIALS_DIRECTORY", b->dir, 1);
    setenv("AWS_ACCESS_KEY_ID", "not this", 1);
    assert_true(s3_credentials_find(&b->cfg, &c));
    assert_string_equal(c.key, "key");
    assert_string_equal(c.token, "");
}

static void the_environment(void **state)
{
    struct bench *b = *state;
    struct s3_credentials c;
    setenv("CREDENTIALS_DIRECTORY", b->dir, 1); /* it has no file s3 */
    setenv("AWS_ACCESS_KEY_ID", "key", 1);
    assert_false(s3_credentials_find(&b->cfg, &c));
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
    assert_true(s3_credentials_find(&b->cfg, &c));
    assert_string_equal(c.secret, "secret");
    point_at(b, b->file); /* which counts, though it is not there */
    assert_false(s3_credentials_find(&b->cfg, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_like_that_of_the_aws_tools, setup, teardown),
        cmocka_unit_test_setup_teardown(the_folder_of_systemd, setup, teardown),
        cmocka_unit_test_setup_teardown(the_environment, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
