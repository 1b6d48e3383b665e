// rows: 2
// what: asks OpenMP for 2000 threads
// stopped by: group limits
// verdict: runtime_error
// flags: -O1 -fopenmp
#include "hostile.h"

static bool attack() {
    int count = 0;
  #pragma omp parallel num_threads(2000) reduction(+ : count)
    ++count;
    return count == 2000;
}

HIDE_BEHIND_ROWS
