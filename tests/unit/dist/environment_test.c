/* Which rank a process is, from the variables of all that start ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dist/environment.h"
#include "dist/rendezvous.h"
#include "recorded.h"

#define VARIABLES(...)                                                                                                 \
    (char *const[])                                                                                                    \
    {                                                                                                                  \
        __VA_ARGS__, NULL                                                                                              \
    }

static struct rank_environment read_good(char *const *variables)
{
    struct rank_environment environment;
    struct error error = {0};

    if (rank_environment_read(variables, &environment, &error) != STATUS_OK)
        fail_msg("%s", error.message);
    return environment;
}

/* The environment of `inner` in that of `outer`. */
static char *const *joined(char *const *inner, char *const *outer)
{
    static char *all[128];
    int count = 0;

    for (; *inner != NULL; inner++)
        all[count++] = *inner;
    for (; *outer != NULL; outer++)
        all[count++] = *outer;
    all[count] = NULL;
    return all;
}

static void check(char *const *variables, const char *source, int rank, int world, int local_rank, int local_world,
                  const char *host)
{
    const struct rank_environment environment = read_good(variables);

    assert_string_equal(environment.source, source);
    assert_int_equal(environment.rank, rank);
    assert_int_equal(environment.world, world);
    assert_int_equal(environment.local_rank, local_rank);
    assert_int_equal(environment.local_world, local_world);
    assert_string_equal(environment.host, host);
}

/* The refusal has each of the words, which are parted by '|'. */
static void check_refused(char *const *variables, const char *words)
{
    struct rank_environment environment;
    struct error error = {0};
    char word[128];

    assert_int_equal(rank_environment_read(variables, &environment, &error), STATUS_USAGE);
    for (const char *at = words; *at != '\0'; at += strlen(word) + (at[strlen(word)] == '|')) {
        snprintf(word, sizeof word, "%.*s", (int)strcspn(at, "|"), at);
        if (strstr(error.message, word) == NULL)
            fail_msg("'%s' has no '%s'", error.message, word);
    }
}

static void without_variables_there_is_a_single_rank(void **state)
{
    (void)state;
    check(VARIABLES("PATH=/bin", "RANK=", "OMP_NUM_THREADS=2"), "no variables", 0, 1, 0, 1, "");
}

static void launch_says_everything(void **state)
{
    char *const *variables = VARIABLES("RANK=3", "WORLD_SIZE=8", "LOCAL_RANK=1", "LOCAL_WORLD_SIZE=2",
                                       "LLMRUN_RENDEZVOUS=127.0.0.1:4711", "LLMRUN_SECRET=0123456789abcdef");

    (void)state;
    check(variables, "llmrun launch", 3, 8, 1, 2, "127.0.0.1");
    assert_int_equal(read_good(variables).port, 4711);
    assert_int_equal(read_good(variables).listener, -1);
}

static void only_rank_0_inherits_the_listening_socket(void **state)
{
    (void)state;
    assert_int_equal(
        read_good(VARIABLES("RANK=0", "WORLD_SIZE=2", "LLMRUN_RENDEZVOUS=a:1", "LLMRUN_RENDEZVOUS_FD=7")).listener, 7);
    assert_int_equal(
        read_good(VARIABLES("RANK=1", "WORLD_SIZE=2", "LLMRUN_RENDEZVOUS=a:1", "LLMRUN_RENDEZVOUS_FD=7")).listener, -1);
}

static void torchrun_is_met_beside_its_own_store(void **state)
{
    (void)state;
    check(recorded_torchrun, "torchrun", 5, 8, 1, 4, "node1");
    assert_int_equal(read_good(recorded_torchrun).port, 29401);
}

static void mpirun_on_one_machine_is_met_at_loopback(void **state)
{
    (void)state;
    check(recorded_open_mpi, "Open MPI", 2, 3, 2, 3, "127.0.0.1");
    assert_in_range(read_good(recorded_open_mpi).port, 10000, 29999);
}

static void hydra_needs_to_be_told_where_rank_0_is(void **state)
{
    (void)state;
    check_refused(recorded_hydra, "3 ranks (PMI)|LLMRUN_RENDEZVOUS=host:port");
    check(joined(recorded_hydra, VARIABLES("MASTER_ADDR=a", "MASTER_PORT=9")), "PMI", 2, 3, 2, 3, "a");
    check(joined(recorded_hydra, VARIABLES("LLMRUN_RENDEZVOUS=[fd00::1]:9")), "PMI", 2, 3, 2, 3, "fd00::1");
}

static void a_step_of_slurm_meets_at_its_first_node(void **state)
{
    (void)state;
    check(recorded_slurm, "Slurm", 5, 8, 1, 2, "n1");
    check(recorded_slurm_node, "Slurm", 1, 2, 0, 1, "n1");
    check(recorded_slurm_in_batch, "Slurm", 3, 4, 1, 2, "n1");
}

static void steps_of_slurm_meet_at_ports_of_their_own(void **state)
{
    (void)state;
    assert_int_not_equal(read_good(recorded_slurm).port, read_good(recorded_slurm_node).port);
    assert_in_range(read_good(recorded_slurm).port, 10000, 29999);
}

/* SLURM_PROCID and SLURM_NTASKS are set in it too. */
static void the_batch_script_of_slurm_is_a_single_rank(void **state)
{
    (void)state;
    check(recorded_slurm_batch, "no variables", 0, 1, 0, 1, "");
}

static void pmix_needs_another_source_for_the_number_of_ranks(void **state)
{
    char *const *pmix = VARIABLES("PMIX_RANK=5", "PMIX_NAMESPACE=slurm.pmix.1.0");

    (void)state;
    check(joined(recorded_slurm, pmix), "Slurm", 5, 8, 1, 2, "n1");
    check_refused(pmix, "PMIX_RANK|WORLD_SIZE|llmrun launch");
    check_refused(joined(recorded_slurm, VARIABLES("PMIX_RANK=4", "PMIX_NAMESPACE=x")),
                  "Slurm says rank 5 (SLURM_PROCID)|PMIx says rank 4 (PMIX_RANK)");
}

static void who_starts_processes_hides_what_encloses_it(void **state)
{
    char *const *launched = VARIABLES("RANK=12", "WORLD_SIZE=16", "LOCAL_RANK=4", "LOCAL_WORLD_SIZE=8",
                                      "LLMRUN_RENDEZVOUS=n1:12345", "LLMRUN_SECRET=0123456789abcdef");

    (void)state;
    check(joined(launched, recorded_slurm_node), "llmrun launch", 12, 16, 4, 8, "n1");
    check(joined(recorded_torchrun, recorded_slurm_node), "torchrun", 5, 8, 1, 4, "node1");
    check(joined(recorded_open_mpi, recorded_slurm_node), "Open MPI", 2, 3, 2, 3, "127.0.0.1");
}

static void sources_that_disagree_are_refused_with_both(void **state)
{
    (void)state;
    check_refused(joined(VARIABLES("RANK=5", "WORLD_SIZE=16"), recorded_slurm),
                  "RANK and WORLD_SIZE says rank 5 of 16|Slurm says rank 5 of 8|SLURM_STEP_NUM_TASKS");
    check_refused(joined(VARIABLES("PMI_RANK=1", "PMI_SIZE=3"), recorded_open_mpi),
                  "Open MPI says rank 2 of 3|PMI says rank 1 of 3");
}

static void a_step_of_one_task_is_a_shell(void **state)
{
    char *const *shell = VARIABLES("SLURM_STEP_ID=0", "SLURM_PROCID=0", "SLURM_STEP_NUM_TASKS=1", "SLURM_JOB_ID=7",
                                   "SLURM_STEP_NODELIST=n1");

    (void)state;
    check(joined(VARIABLES("RANK=1", "WORLD_SIZE=2", "MASTER_ADDR=a", "MASTER_PORT=9"), shell), "RANK and WORLD_SIZE",
          1, 2, -1, -1, "a");
    check(shell, "Slurm", 0, 1, -1, -1, "");
}

static void half_of_the_variables_is_refused_with_both_names(void **state)
{
    (void)state;
    check_refused(VARIABLES("RANK=1"), "RANK is set and WORLD_SIZE is not");
    check_refused(VARIABLES("WORLD_SIZE=2"), "WORLD_SIZE is set and RANK is not");
    check_refused(VARIABLES("OMPI_COMM_WORLD_SIZE=2"), "OMPI_COMM_WORLD_SIZE is set and OMPI_COMM_WORLD_RANK is not");
    check_refused(VARIABLES("SLURM_STEP_ID=0", "SLURM_PROCID=1"),
                  "SLURM_PROCID is set and SLURM_STEP_NUM_TASKS is not");
    check_refused(VARIABLES("RANK=1", "WORLD_SIZE=2", "MASTER_ADDR=a"), "MASTER_ADDR is set and MASTER_PORT is not");
    check_refused(VARIABLES("RANK=1", "WORLD_SIZE=2", "MASTER_PORT=9"), "MASTER_PORT is set and MASTER_ADDR is not");
}

static void numbers_that_cannot_be_are_refused(void **state)
{
    (void)state;
    check_refused(VARIABLES("RANK=2", "WORLD_SIZE=2"), "RANK is 2 and WORLD_SIZE is 2|0 to 1");
    check_refused(VARIABLES("RANK=-1", "WORLD_SIZE=2"), "RANK is '-1'");
    check_refused(VARIABLES("RANK=0x1", "WORLD_SIZE=2"), "RANK is '0x1'");
    check_refused(VARIABLES("RANK=0", "WORLD_SIZE=0"), "WORLD_SIZE is '0'");
    check_refused(VARIABLES("RANK=0", "WORLD_SIZE=99999999999999999999"), "WORLD_SIZE is '9");
    check_refused(VARIABLES("RANK=0", "WORLD_SIZE=4", "LOCAL_RANK=2", "LOCAL_WORLD_SIZE=2"),
                  "LOCAL_RANK is 2 and LOCAL_WORLD_SIZE is 2");
    check_refused(VARIABLES("RANK=0", "WORLD_SIZE=4", "LOCAL_RANK=2", "LOCAL_WORLD_SIZE=5"),
                  "LOCAL_WORLD_SIZE is 5 and WORLD_SIZE is 4");
    check_refused(VARIABLES("RANK=0", "WORLD_SIZE=4", "MASTER_ADDR=a", "MASTER_PORT=65536"), "MASTER_PORT is '65536'");
}

static void addresses_are_host_and_port(void **state)
{
    static const char *const bad[] = {"",     "a",         "a:",   ":1",        "a:0", "a:65536",
                                      "a:1x", "fd00::1:9", "[]:1", "[fd00::1]", "a: 1"};
    char host[RENDEZVOUS_HOST_BYTES];
    struct error error;
    int32_t port;

    (void)state;
    assert_int_equal(rendezvous_parse("node-1.cluster:29500", "X", host, &port, &error), STATUS_OK);
    assert_string_equal(host, "node-1.cluster");
    assert_int_equal(port, 29500);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(rendezvous_parse(bad[i], "LLMRUN_RENDEZVOUS", host, &port, &error), STATUS_USAGE);
        assert_non_null(strstr(error.message, "LLMRUN_RENDEZVOUS"));
    }
}

static void the_first_node_of_a_list_is_found(void **state)
{
    static const char *const lists[][2] = {{"n1", "n1"},
                                           {"n1,n2", "n1"},
                                           {"n[1-4]", "n1"},
                                           {"node[01-03,7]", "node01"},
                                           {"node[7,01-03],other", "node7"},
                                           {"rack[2-3]node[05-09]-ib", "rack2node05-ib"},
                                           {"a-b,node[1-2]", "a-b"}};
    static const char *const bad[] = {"", ",", "n[1", "[", "n[1-2"};
    char name[RENDEZVOUS_HOST_BYTES];
    struct error error;

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        assert_int_equal(node_list_first(lists[i][0], name, &error), STATUS_OK);
        assert_string_equal(name, lists[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(node_list_first(bad[i], name, &error), STATUS_USAGE);
}

static void the_source_is_told(void **state)
{
    const struct rank_environment many = read_good(recorded_torchrun), one = read_good(VARIABLES("A=b"));
    char text[RANK_ENVIRONMENT_TEXT];

    (void)state;
    rank_environment_describe(&many, text);
    assert_string_equal(text, "rank 5 of 8 (torchrun), rank 0 is at node1:29401");
    rank_environment_describe(&one, text);
    assert_string_equal(text, "a single rank (no variables)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_variables_there_is_a_single_rank),
        cmocka_unit_test(launch_says_everything),
        cmocka_unit_test(only_rank_0_inherits_the_listening_socket),
        cmocka_unit_test(torchrun_is_met_beside_its_own_store),
        cmocka_unit_test(mpirun_on_one_machine_is_met_at_loopback),
        cmocka_unit_test(hydra_needs_to_be_told_where_rank_0_is),
        cmocka_unit_test(a_step_of_slurm_meets_at_its_first_node),
        cmocka_unit_test(steps_of_slurm_meet_at_ports_of_their_own),
        cmocka_unit_test(the_batch_script_of_slurm_is_a_single_rank),
        cmocka_unit_test(pmix_needs_another_source_for_the_number_of_ranks),
        cmocka_unit_test(who_starts_processes_hides_what_encloses_it),
        cmocka_unit_test(sources_that_disagree_are_refused_with_both),
        cmocka_unit_test(a_step_of_one_task_is_a_shell),
        cmocka_unit_test(half_of_the_variables_is_refused_with_both_names),
        cmocka_unit_test(numbers_that_cannot_be_are_refused),
        cmocka_unit_test(addresses_are_host_and_port),
        cmocka_unit_test(the_first_node_of_a_list_is_found),
        cmocka_unit_test(the_source_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
