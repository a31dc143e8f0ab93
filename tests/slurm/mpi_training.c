/* An MPI training: every rank has a number, every step sums all of them. Integers, so that an interrupted one ends with the same bits.

   mpi_training STEPS SECONDS        A step takes SECONDS, until there is a file `hurry`.

   It reads nothing but the environment. Rank 0 looks for a request and tells all ranks in the same step; it gathers the state into
   one file, step-000042.state, written beside and renamed. What happened is appended to steps.jsonl, as puppet.py has it. */
#include <mpi.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int rank, size, attempt;

static void fail(const char *what) {
    perror(what);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void say(const char *event, long step) {
    if (rank) return;
    FILE *log = fopen("steps.jsonl", "a");
    if (!log) fail("steps.jsonl");
    fprintf(log, "{\"attempt\": %d, \"event\": \"%s\", \"step\": %ld, \"ranks\": %d}\n", attempt, event, step, size);
    fclose(log);
}

/* All ranks take part; `all` is rank 0's. */
static void save(uint64_t *mine, uint64_t *all, const char *folder, const char *name) {
    char path[4096], beside[4200];
    MPI_Gather(mine, 1, MPI_UINT64_T, all, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    if (rank) return;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(beside, sizeof beside, "%s.tmp", path);
    FILE *file = fopen(beside, "wb");
    if (!file || fwrite(all, sizeof *all, size, file) != (size_t)size || fflush(file) || fsync(fileno(file)) || fclose(file)) fail(beside);
    if (rename(beside, path)) fail(path);
}

static void load(uint64_t *mine, uint64_t *all, const char *path) {
    if (!rank) {
        FILE *file = fopen(path, "rb");
        if (!file || fread(all, sizeof *all, size, file) != (size_t)size) fail(path);
        fclose(file);
    }
    MPI_Scatter(all, 1, MPI_UINT64_T, mine, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
}

/* Rank 0 alone decides, and the decision travels: 0 nothing is asked, 1 save, 2 save and stop. The same request is answered once. */
static int asked(void) {
    static char answered[4096];
    char request[4096] = "";
    const char *path = getenv("CKPTRUN_REQUEST_FILE");
    int wanted = 0;
    FILE *file = !rank && path ? fopen(path, "r") : NULL;
    if (file) {
        request[fread(request, 1, sizeof request - 1, file)] = 0;
        fclose(file);
        if (*request && strcmp(request, answered)) {
            wanted = strstr(request, "save_and_stop") ? 2 : 1;
            strcpy(answered, request);
        }
    }
    MPI_Bcast(&wanted, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return wanted;
}

int main(int argc, char **argv) {
    signal(SIGTERM, SIG_IGN); /* Slurm signals the tasks of a step as well: they would die of it before they have saved */
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const char *output = getenv("CKPTRUN_OUTPUT_DIR"), *from = getenv("CKPTRUN_RESUME_FROM"), *number = getenv("CKPTRUN_ATTEMPT");
    long steps = atol(argv[1]), step = 0;
    double seconds = atof(argv[2]);
    uint64_t mine = rank + 1, sum, *all = malloc(size * sizeof *all);
    int wanted = 0;
    if (!output) output = ".";
    attempt = number ? atoi(number) : 0;
    if (from && *from) {
        load(&mine, all, from);
        step = atol(getenv("CKPTRUN_RESUME_STEP")) + 1;
    }
    say("start", step);
    for (; step < steps; step++) {
        if (access("hurry", F_OK)) usleep(seconds * 1e6);
        MPI_Allreduce(&mine, &sum, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
        mine = (mine ^ sum) * 6364136223846793005u + step + rank + 1;
        say("step", step);
        if ((wanted = asked())) {
            char name[64];
            snprintf(name, sizeof name, "step-%06ld.state", step);
            save(&mine, all, output, name);
            say("saved", step);
        }
        if (wanted == 2) {
            say("stopped", step);
            break;
        }
    }
    if (wanted != 2) {
        save(&mine, all, output, "final");
        if (!rank && getenv("CKPTRUN_OUTPUT_DIR")) { /* the proof that this run is complete */
            char done[4096];
            snprintf(done, sizeof done, "%s/../done", output);
            FILE *file = fopen(done, "w");
            if (!file || fclose(file)) fail(done);
        }
        say("done", steps);
    }
    MPI_Finalize();
    return 0;
}
