/* The page of GET /metrics, from the region of memory that all processes count in (common/metrics.h):
 *
 *     # HELP name help                                  metrics_page_head()
 *     # TYPE name counter
 *     name{process="shard/0",label="value"} 12          each: a line a process and a combination of labels
 *     name{label="value",le="0.0001"} 3                 otherwise the sum of all processes
 *
 * Happy path: find the slots that some process uses; then, for each row of metrics.def, read its cells from each slot
 * and print them. Nothing is locked: a cell is read while its process counts on, so numbers of one page can be some
 * events apart from each other.
 *
 * Failure modes: A process that is dead keeps its slot, so its counters do not go back. Names, labels and help come
 * from metrics.def and fit into LINE_MAX_BYTES; no text of a client is ever on the page. */
#include "router/observe/metrics_page.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/mem.h"

#define LINE_MAX_BYTES 512
#define SPARSE 100 /* a metric with more cells than this leaves out those that are 0 */

/* One process on the page. A router has two slots, one for its program before an upgrade and one for that after it;
 * both are shown as one process. */
struct shown {
    const struct metrics *metrics[2];
    enum metrics_of of;
    char name[20];
};

struct page {
    struct buf *out;
    struct shown *shown;
    unsigned count;
};

static void metrics_page_find_shown(struct page *page, const struct metrics_region *region)
{
    page->shown = xcalloc(METRICS_SLOTS, sizeof *page->shown);
    for (unsigned slot = 0; slot < METRICS_SLOTS; slot++) {
        enum metrics_of of = metrics_slot_of(slot);
        bool second = of == METRICS_ROUTER && slot > ROLE_ROUTERS_MAX;
        struct shown shown = {.of = of, .metrics = {metrics_at(region, slot)}};
        if (of == METRICS_ROUTER && !second)
            shown.metrics[1] = metrics_at(region, slot + ROLE_ROUTERS_MAX);
        if (second || (!shown.metrics[0] && !shown.metrics[1]))
            continue;
        metrics_slot_name(slot, shown.name);
        page->shown[page->count++] = shown;
    }
}

/* Counters and gauges of both slots are added. Only whether the process is up, and since when, is the larger of both:
 * during an upgrade two programs run, but the router is still one. */
static uint64_t metrics_page_value_of(const struct shown *shown, const struct metrics_row *row, unsigned cell)
{
    uint64_t first = shown->metrics[0] ? metrics_get(shown->metrics[0], cell) : 0;
    uint64_t second = shown->metrics[1] ? metrics_get(shown->metrics[1], cell) : 0;
    if (row->cell == METRIC_UP || row->cell == METRIC_STARTED)
        return first > second ? first : second;
    return first + second;
}

void metrics_page_head(struct buf *out, const char *name, const char *type, const char *help)
{
    char *line = buf_reserve(out, LINE_MAX_BYTES);
    buf_grow(out, (size_t)snprintf(line, LINE_MAX_BYTES, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type));
}

/* Cells are integers: microseconds or thousandths. They are printed as a decimal fraction without zeros at its end,
 * "0.0128", and never through a double, so that no digit is made up. */
static void metrics_page_print_value(char text[32], uint64_t value, enum metrics_unit unit)
{
    uint64_t part = unit == METRICS_US ? 1000000 : 1000;
    int digits = unit == METRICS_US ? 6 : 3;
    if (unit == METRICS_ONE) {
        snprintf(text, 32, "%llu", (unsigned long long)value);
        return;
    }
    int len = snprintf(text, 32, "%llu.%0*llu", (unsigned long long)(value / part), digits,
                       (unsigned long long)(value % part));
    while (text[len - 1] == '0')
        text[--len] = '\0';
    if (text[len - 1] == '.')
        text[len - 1] = '\0';
}

/* `{process="shard/0",tier="log",le="0.1"}`, or nothing. The index counts like the digits of a number: the last label
 * changes fastest, and `below` is how many cells one value of the label at hand covers. */
static void metrics_page_print_labels(char *text, size_t size, const struct metrics_row *row, unsigned index,
                                      const char *process, const char *bound)
{
    size_t len = 0;
    const char *before = "{";
    text[0] = '\0';
    if (process) {
        len = (size_t)snprintf(text, size, "{process=\"%s\"", process);
        before = ",";
    }
    unsigned below = row->labels[0]->count * row->labels[1]->count * row->labels[2]->count;
    for (size_t i = 0; i < 3; i++) {
        const struct metrics_label *label = row->labels[i];
        below /= label->count;
        if (!*label->name)
            continue;
        len += (size_t)snprintf(text + len, size - len, "%s%s=\"%s\"", before, label->name,
                                label->values[index / below % label->count]);
        before = ",";
    }
    if (bound)
        len += (size_t)snprintf(text + len, size - len, "%sle=\"%s\"", before, bound);
    if (len)
        snprintf(text + len, size - len, "}");
}

static void metrics_page_add_line(struct page *page, const struct metrics_row *row, const char *suffix,
                                  const char *labels, const char *value)
{
    char *line = buf_reserve(page->out, LINE_MAX_BYTES);
    buf_grow(page->out, (size_t)snprintf(line, LINE_MAX_BYTES, "%s%s%s %s\n", row->name, suffix, labels, value));
}

static void metrics_page_add_value(struct page *page, const struct metrics_row *row, unsigned index,
                                   const char *process, uint64_t value)
{
    char labels[256], text[32];
    if (!value && row->count > SPARSE)
        return;
    metrics_page_print_labels(labels, sizeof labels, row, index, process, NULL);
    metrics_page_print_value(text, value, row->unit);
    metrics_page_add_line(page, row, "", labels, text);
}

static void metrics_page_add_histogram(struct page *page, const struct metrics_row *row, unsigned index,
                                       const char *process, const uint64_t *cells)
{
    char labels[256], text[32], bound[32];
    uint64_t count = 0;
    /* Buckets are cumulative on the page, and single in memory: counting then touches one cell only. */
    for (unsigned i = 0; i <= METRICS_BOUNDS; i++) {
        count += cells[i];
        metrics_page_print_value(bound, (uint64_t)(row->unit == METRICS_US ? METRICS_STEP_US : 1) << i, row->unit);
        metrics_page_print_labels(labels, sizeof labels, row, index, process, i < METRICS_BOUNDS ? bound : "+Inf");
        metrics_page_print_value(text, count, METRICS_ONE);
        metrics_page_add_line(page, row, "_bucket", labels, text);
    }
    metrics_page_print_labels(labels, sizeof labels, row, index, process, NULL);
    metrics_page_add_line(page, row, "_count", labels, text); /* text: that of the last bucket, +Inf */
    metrics_page_print_value(text, cells[METRICS_SUM], row->unit);
    metrics_page_add_line(page, row, "_sum", labels, text);
}

static void metrics_page_add_cells(struct page *page, const struct metrics_row *row, const char *process,
                                   const uint64_t *cells)
{
    if (row->type != METRICS_OF_HISTOGRAM)
        for (unsigned i = 0; i < row->count; i++)
            metrics_page_add_value(page, row, i, process, cells[i]);
    else
        for (unsigned i = 0; i < row->count / METRICS_HISTOGRAM; i++)
            metrics_page_add_histogram(page, row, i, process, cells + i * METRICS_HISTOGRAM);
}

static void metrics_page_add_row(struct page *page, const struct metrics_row *row)
{
    uint64_t cells[METRICS_CELLS] = {0};
    bool any = false;
    for (unsigned i = 0; i < page->count; i++) {
        const struct shown *shown = &page->shown[i];
        if (row->of != METRICS_PROCESS && row->of != shown->of)
            continue;
        any = true;
        /* each: this process alone; otherwise the sum grows from process to process. */
        for (unsigned at = 0; at < row->count; at++)
            cells[at] = metrics_page_value_of(shown, row, row->cell + at) + (row->each ? 0 : cells[at]);
        if (row->each)
            metrics_page_add_cells(page, row, shown->name, cells);
    }
    if (any && !row->each)
        metrics_page_add_cells(page, row, NULL, cells);
}

void metrics_page_add(struct buf *out, const struct metrics_region *region)
{
    static const char *const types[] = {
        [METRICS_COUNTER] = "counter", [METRICS_GAUGE] = "gauge", [METRICS_OF_HISTOGRAM] = "histogram"};
    struct page page = {.out = out};
    unsigned count;
    const struct metrics_row *rows = metrics_rows(&count);
    metrics_page_find_shown(&page, region);
    for (unsigned i = 0; i < count; i++) {
        if (rows[i].type == METRICS_DETAIL) /* for `streamd status` only */
            continue;
        metrics_page_head(out, rows[i].name, types[rows[i].type], rows[i].help);
        metrics_page_add_row(&page, &rows[i]);
    }
    free(page.shown);
}
