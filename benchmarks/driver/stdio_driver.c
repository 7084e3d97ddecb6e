/* Loads an MCP server on stdio, at little cost of its own, so that the server is what is measured.
 *
 *     stdio_driver READ_FD WRITE_FD    load the server at these two pipes, as commands on stdin say
 *     stdio_driver answer              answer each line on stdin at once: a server that shows the driver's ceiling
 *
 * The driver writes each message with one write(2), as real clients do, and reads all bytes that have arrived. After
 * `join 1` it writes all calls that it can make without another read with one write(2): full windows.
 * A command is one line on stdin. Its answer is one line of JSON on stdout:
 *
 *     template BYTES               take the next BYTES bytes as the call to send; byte 1 stands for the id
 *     send BYTES                   write the next BYTES bytes to the server
 *     await ID                     wait for the answer to the request with this id
 *     join 0|1                     write each call by itself (0, as at first), or calls together (1)
 *     load WINDOW CALLS SECONDS    keep WINDOW calls in flight, until CALLS are answered or SECONDS have passed
 *     pace RATE WARMUP SECONDS     make RATE calls a second, whatever the answers; count those after WARMUP
 *     last                         give the length of the last answer as JSON, and then its bytes
 *
 * `load` answers with: calls; the seconds that they took; the times (CLOCK_MONOTONIC) of the first and of the last
 * answer; p50 and p99 in milliseconds; the messages that were no answers; the bytes read; the driver's CPU seconds.
 * `pace` answers with: calls; the seconds that they took; p50 and p99 in milliseconds from when a call was due, and
 * from when it was sent; p99 of how late the driver sent calls for which there was a place; the driver's CPU seconds.
 * A call has a place while fewer than PLACES are in flight; else it waits for one.
 * A failure is `{"failed": TEXT}`, and the end of the driver.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PORTION (1 << 16)
#define EDGE 256 /* bytes at each end of an answer that are looked at */
#define SLOTS 4096 /* calls in flight, at most */
#define PLACES 256 /* calls in flight at a given rate, as `trimcp bench` has them by default */
#define ID 1 /* the byte of a template in whose place the id goes */
#define IDS 4 /* of those, at most */
#define PATIENCE 120 /* seconds that a command may take beyond what it asks for; then SIGALRM ends the driver */

static int in_fd, out_fd;
static char *input;
static size_t input_size, input_room, line_start;
static const char *last; /* in the input: good until the next read */
static size_t last_size;
static char *template, *calls; /* calls: made, and not yet written */
static size_t template_size, calls_size, calls_room;
static int joins;
static long next_id = 1;
static double sent[SLOTS];
static long long bytes_read, others;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char text[512];
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < 32) *c = '\'';
    printf("{\"failed\": \"%s\"}\n", text);
    fflush(stdout);
    exit(1);
}

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *grown(void *old, size_t size) {
    void *new = realloc(old, size);
    if (!new) fail("out of memory");
    return new;
}

static void write_all(const char *data, size_t size) {
    while (size) {
        ssize_t count = write(out_fd, data, size);
        if (count < 0) {
            if (errno == EINTR) continue;
            fail("the server does not read: %s", strerror(errno));
        }
        data += count;
        size -= (size_t)count;
    }
}

static void write_calls(void) {
    write_all(calls, calls_size);
    calls_size = 0;
}

static void send_call(void) {
    char digits[24];
    size_t length = (size_t)snprintf(digits, sizeof digits, "%ld", next_id);
    size_t room = calls_size + template_size + IDS * sizeof digits;
    if (room > calls_room) calls = grown(calls, calls_room = 2 * room);
    char *end = calls + calls_size;
    for (const char *at = template, *stop = template + template_size; at < stop;) {
        const char *id = memchr(at, ID, (size_t)(stop - at));
        size_t size = (size_t)((id ? id : stop) - at);
        end = (char *)memcpy(end, at, size) + size;
        at += size;
        if (id) {
            end = (char *)memcpy(end, digits, length) + length;
            at++;
        }
    }
    calls_size = (size_t)(end - calls);
    sent[next_id++ % SLOTS] = seconds_of(CLOCK_MONOTONIC);
    if (!joins) write_calls();
}

/* The number behind a key, or -1. */
static long number_behind(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == ':')) at++;
    if (at == end || *at < '0' || *at > '9') return -1;
    return strtol(at, NULL, 10);
}

/* The id of a message, where servers put it (at the start or the end), else found by a scan; -1 if it has none. */
static long id_of(const char *line, size_t size) {
    static const char start[] = "{\"jsonrpc\":\"2.0\",\"id\":", last_key[] = ",\"id\":", key[] = "\"id\"";
    const char *end = line + size;
    if (size > sizeof start && !memcmp(line, start, sizeof start - 1)) return number_behind(line + sizeof start - 1, end);
    const char *tail = end - 1;
    if (size > sizeof start && *tail == '}') {
        while (tail[-1] >= '0' && tail[-1] <= '9') tail--;
        if (!memcmp(tail - (sizeof last_key - 1), last_key, sizeof last_key - 1)) return number_behind(tail, end);
    }
    int depth = 0;
    for (const char *at = line; at < end; at++) {
        if (*at == '{' || *at == '[') depth++;
        else if (*at == '}' || *at == ']') depth--;
        else if (*at == '"') {
            if (depth == 1 && (size_t)(end - at) > sizeof key && !memcmp(at, key, sizeof key - 1)) {
                const char *behind = at + sizeof key - 1;
                while (behind < end && *behind == ' ') behind++;
                if (behind < end && *behind == ':') return number_behind(behind, end);
            }
            for (at++; at < end; at++) { /* to the end of the string, by the next quote that is not escaped */
                at = memchr(at, '"', (size_t)(end - at));
                if (!at) return -1;
                const char *slash = at;
                while (slash[-1] == '\\') slash--;
                if ((at - slash) % 2 == 0) break;
            }
        }
    }
    return -1;
}

static int holds(const char *line, size_t size, const char *text) {
    size_t edge = size < EDGE ? size : EDGE, length = strlen(text);
    return memmem(line, edge, text, length) || (size > edge && memmem(line + size - edge, edge, text, length));
}

/* The next line that the server wrote; the pointer is good until the next call. */
static char *next_line(size_t *size) {
    size_t seen = line_start;
    for (;;) {
        char *end = memchr(input + seen, '\n', input_size - seen);
        if (end) {
            char *line = input + line_start;
            *size = (size_t)(end - line);
            line_start += *size + 1;
            return line;
        }
        seen = input_size;
        write_calls();
        if (line_start) {
            memmove(input, input + line_start, input_size - line_start);
            input_size -= line_start;
            seen -= line_start;
            line_start = 0;
        }
        if (input_room - input_size < PORTION) input = grown(input, input_room = input_room * 2 + PORTION);
        ssize_t count = read(in_fd, input + input_size, input_room - input_size);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) fail("the server has ended");
        input_size += (size_t)count;
        bytes_read += count;
    }
}

static long next_answer(void) {
    for (;;) {
        size_t size;
        char *line = next_line(&size);
        long id = id_of(line, size);
        if (id < 0 || holds(line, size, "\"method\":")) {
            others++;
            continue;
        }
        if (holds(line, size, "\"error\":{") || holds(line, size, "\"isError\":true"))
            fail("not a result: %.*s", (int)(size < 300 ? size : 300), line);
        last = line;
        last_size = size;
        return id;
    }
}

static int has_line(void) {
    return memchr(input + line_start, '\n', input_size - line_start) != NULL;
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

typedef struct {
    float *values;
    size_t count, room;
} Times;

static void keep(Times *times, double seconds) {
    if (times->count == times->room)
        times->values = grown(times->values, (times->room = times->room * 2 + PORTION) * sizeof *times->values);
    times->values[times->count++] = (float)seconds;
}

/* A percentile in milliseconds, of times that are sorted from then on. */
static double percentile(Times *times, size_t percent) {
    qsort(times->values, times->count, sizeof *times->values, by_size);
    return times->count ? times->values[times->count * percent / 100] * 1e3 : 0;
}

static void load(long window, long most, double seconds) {
    static Times latencies;
    latencies.count = 0;
    long in_flight = 0, started = 0;
    others = bytes_read = 0;
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), began = seconds_of(CLOCK_MONOTONIC), now = began, first = 0;
    double end = began + seconds;
    while (in_flight < window && started < most) send_call(), in_flight++, started++;
    while (in_flight) {
        long id = next_answer();
        now = seconds_of(CLOCK_MONOTONIC);
        if (!latencies.count) first = now;
        keep(&latencies, now - sent[id % SLOTS]);
        if (started < most && now < end) send_call(), started++;
        else in_flight--;
    }
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    double p50 = percentile(&latencies, 50), p99 = percentile(&latencies, 99);
    printf("{\"calls\": %zu, \"seconds\": %.9f, \"first\": %.9f, \"last\": %.9f, \"p50\": %.6f, \"p99\": %.6f, "
           "\"others\": %lld, \"bytes\": %lld, \"cpu\": %.9f}\n",
           latencies.count, now - began, first, now, p50, p99, others, bytes_read, cpu);
}

static void pace(double rate, double warmup, double seconds) {
    static Times due_times, sent_times, late_times;
    static double due[SLOTS];
    due_times.count = sent_times.count = late_times.count = 0;
    long total = (long)(rate * (warmup + seconds)), started = 0, in_flight = 0, inside = 0;
    int had_place = 1;
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID), began = seconds_of(CLOCK_MONOTONIC), now = began;
    double begin = began + warmup, end = begin + seconds;
    while ((started < total && now < end) || in_flight) {
        double next;
        if (now >= end) total = started; /* what still waits for a place is left */
        while (started < total && (next = began + (double)(started + 1) / rate) <= now && in_flight < PLACES) {
            if (had_place && next >= begin) keep(&late_times, now - next);
            due[next_id % SLOTS] = next;
            send_call(), started++, in_flight++;
        }
        write_calls();
        had_place = in_flight < PLACES;
        double wait = started < total && had_place ? next - now : 1;
        struct timespec timeout = {(time_t)wait, (long)((wait - (double)(time_t)wait) * 1e9)};
        struct pollfd readable = {in_fd, POLLIN, 0};
        int ready = has_line() || ppoll(&readable, 1, wait > 0 ? &timeout : &(struct timespec){0}, NULL) > 0;
        now = seconds_of(CLOCK_MONOTONIC);
        while (ready) {
            long id = next_answer();
            now = seconds_of(CLOCK_MONOTONIC);
            in_flight--;
            inside += now >= begin && now < end;
            if (due[id % SLOTS] >= begin) {
                keep(&due_times, now - due[id % SLOTS]);
                keep(&sent_times, now - sent[id % SLOTS]);
            }
            ready = has_line();
        }
    }
    cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"calls\": %ld, \"seconds\": %.9f, ", inside, seconds);
    printf("\"due p50\": %.6f, \"due p99\": %.6f, ", percentile(&due_times, 50), percentile(&due_times, 99));
    printf("\"sent p50\": %.6f, \"sent p99\": %.6f, ", percentile(&sent_times, 50), percentile(&sent_times, 99));
    printf("\"late p99\": %.6f, \"cpu\": %.9f}\n", percentile(&late_times, 99), cpu);
}

static void take(char *into, size_t size) {
    if (fread(into, 1, size, stdin) != size) exit(0);
}

static void answer_everything(void) {
    static const char head[] = "{\"jsonrpc\":\"2.0\",\"id\":";
    static const char tail[] = ",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"3\"}],\"structuredContent\":{\"result\":3}}}\n";
    in_fd = 0, out_fd = 1;
    for (;;) {
        size_t size;
        char *line = next_line(&size), answer[256];
        long id = id_of(line, size);
        if (id < 0) continue;
        write_all(answer, (size_t)snprintf(answer, sizeof answer, "%s%ld%s", head, id, tail));
    }
}

int main(int count, char **arguments) {
    input = grown(NULL, input_room = 4 * PORTION);
    if (count == 2 && !strcmp(arguments[1], "answer")) answer_everything();
    if (count != 3) return 2;
    in_fd = atoi(arguments[1]), out_fd = atoi(arguments[2]);
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        size_t size;
        long window, most, id;
        double seconds, rate, warmup;
        alarm(PATIENCE);
        if (sscanf(line, "template %zu", &template_size) == 1) {
            template = grown(template, template_size);
            take(template, template_size);
            printf("{}\n");
        } else if (sscanf(line, "send %zu", &size) == 1) {
            char *data = grown(NULL, size);
            take(data, size);
            write_all(data, size);
            free(data);
            printf("{}\n");
        } else if (sscanf(line, "await %ld", &id) == 1) {
            while (next_answer() != id) {}
            printf("{\"at\": %.9f}\n", seconds_of(CLOCK_MONOTONIC));
        } else if (sscanf(line, "join %d", &joins) == 1) {
            printf("{}\n");
        } else if (sscanf(line, "load %ld %ld %lf", &window, &most, &seconds) == 3) {
            alarm(PATIENCE + (unsigned)seconds);
            load(window, most, seconds);
        } else if (sscanf(line, "pace %lf %lf %lf", &rate, &warmup, &seconds) == 3) {
            alarm(PATIENCE + (unsigned)(warmup + seconds));
            pace(rate, warmup, seconds);
        } else if (!strncmp(line, "last", 4)) {
            printf("{\"bytes\": %zu}\n", last_size);
            fwrite(last, 1, last_size, stdout);
        } else
            return 2;
        fflush(stdout);
        alarm(0);
    }
    return 0;
}
