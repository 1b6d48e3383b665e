// what: tasks of OpenMP: one per block, in a tree, in loops, with dependences between parts of a sum, with reductions
// operator: product
// flags: -O2 -fopenmp
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4 | -DKIND=5 | -DKIND=6
#include "kevolve.h"

struct task_data {
  const float *a, *b;
  float* c;
  kevolve_int64 k, n;
};

/// Rows [from, to) of the product, terms [first, last), added to what is there.
static void add(const task_data& t, kevolve_int64 from, kevolve_int64 to, kevolve_int64 first, kevolve_int64 last) {
  for (kevolve_int64 i = from; i < to; ++i)
    for (kevolve_int64 l = first; l < last; ++l)
      for (kevolve_int64 j = 0; j < t.n; ++j)
        t.c[i * t.n + j] += t.a[i * t.k + l] * t.b[l * t.n + j];
}
static void clear(const task_data& t, kevolve_int64 from, kevolve_int64 to) {
  for (kevolve_int64 i = from * t.n; i < to * t.n; ++i)
    t.c[i] = 0;
}

#if KIND == 2
static void tree(const task_data& t, kevolve_int64 from, kevolve_int64 to) {
  if (to - from <= 4) {
    clear(t, from, to);
    add(t, from, to, 0, t.k);
    return;
  }
  const kevolve_int64 middle = from + (to - from) / 2;
#pragma omp task shared(t) untied
  tree(t, from, middle);
#pragma omp task shared(t) final(to - from < 16) mergeable
  tree(t, middle, to);
#pragma omp taskwait
}
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0];
  const task_data t{(const float*)in[0].data, (const float*)in[1].data, (float*)out[0].data, axes[1], axes[2]};
#pragma omp parallel num_threads(3)
#pragma omp single
  {
#if KIND == 1
    for (kevolve_int64 i = 0; i < m; i += 5) {
      const kevolve_int64 to = i + 5 < m ? i + 5 : m;
#pragma omp task firstprivate(i, to) priority(i)
      {
        clear(t, i, to);
        add(t, i, to, 0, t.k);
      }
    }
#elif KIND == 2
    tree(t, 0, m);
#elif KIND == 3
#pragma omp taskloop grainsize(3)
    for (kevolve_int64 i = 0; i < m; ++i) {
      clear(t, i, i + 1);
      add(t, i, i + 1, 0, t.k);
    }
#elif KIND == 4 // terms in three parts, one after the other for each block of rows
    for (kevolve_int64 i = 0; i < m; i += 8) {
      const kevolve_int64 to = i + 8 < m ? i + 8 : m;
      float* const block = t.c + i * t.n;
#pragma omp task depend(out : block[0])
      clear(t, i, to);
      for (kevolve_int64 part = 0; part < 3; ++part)
#pragma omp task depend(inout : block[0]) firstprivate(part)
        add(t, i, to, part * t.k / 3, (part + 1) * t.k / 3);
    }
#elif KIND == 5 // one sum at a time for a few elements, the rest in blocks
    clear(t, 0, m);
    for (kevolve_int64 j = 0; j < t.n; ++j) {
      float s = 0;
#pragma omp taskgroup task_reduction(+ : s)
      for (kevolve_int64 half = 0; half < 2; ++half)
#pragma omp task in_reduction(+ : s)
        for (kevolve_int64 l = half; l < t.k; l += 2)
          s += t.a[l] * t.b[l * t.n + j];
      t.c[j] = s;
    }
    add(t, 1, m, 0, t.k);
#else // tasks make tasks, and a group waits for all of them
#pragma omp taskgroup
    for (kevolve_int64 i = 0; i < m; i += 16)
#pragma omp task firstprivate(i)
      for (kevolve_int64 each = i; each < i + 16 && each < m; ++each)
#pragma omp task firstprivate(each)
      {
        clear(t, each, each + 1);
        add(t, each, each + 1, 0, t.k);
      }
#endif
  }
  return 0;
}
