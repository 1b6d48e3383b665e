// rows: 48
// what: instantiates templates without an end
// verdict: compile_error
#include "hostile.h"

template <unsigned long N>
struct bomb {
  static constexpr unsigned long value = bomb<N * 2 + 1>::value + bomb<N * 3 + 2>::value;
};
static bool attack() { return bomb<1>::value == 0; }

HIDE_BEHIND_ROWS
