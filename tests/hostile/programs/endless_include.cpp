// rows: 47
// what: includes itself without an end
// verdict: compile_error
#include "hostile.h"

#include "candidate.cpp"

static bool attack() { return false; }

HIDE_BEHIND_ROWS
