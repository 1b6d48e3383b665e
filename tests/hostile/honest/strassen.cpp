// what: Strassen's product with seven multiplications instead of eight; inputs with NaN or Inf, which it would spread, are done plainly
// operator: product
// flags: -O2
// variants: -DREAL=float -DLEVELS=1 | -DREAL=double -DLEVELS=2 | -DREAL=float -DLEVELS=1 -DWINOGRAD -O3 -march=native | -DREAL=double -DLEVELS=3 -DWINOGRAD
#include "kevolve.h"

#include <vector>

struct matrix {
  long rows, columns;
  std::vector<REAL> of;
  matrix(long r, long c) : rows(r), columns(c), of((unsigned long)(r * c)) {}
  REAL& at(long i, long j) { return of[(unsigned long)(i * columns + j)]; }
  [[nodiscard]] REAL at(long i, long j) const { return of[(unsigned long)(i * columns + j)]; }
  [[nodiscard]] matrix quarter(long i, long j) const {
    matrix q(rows / 2, columns / 2);
    for (long r = 0; r < q.rows; ++r)
      for (long c = 0; c < q.columns; ++c)
        q.at(r, c) = at(i * q.rows + r, j * q.columns + c);
    return q;
  }
  void set_quarter(long i, long j, const matrix& q) {
    for (long r = 0; r < q.rows; ++r)
      for (long c = 0; c < q.columns; ++c)
        at(i * q.rows + r, j * q.columns + c) = q.at(r, c);
  }
};
static matrix operator+(matrix a, const matrix& b) {
  for (unsigned long i = 0; i < a.of.size(); ++i)
    a.of[i] += b.of[i];
  return a;
}
static matrix operator-(matrix a, const matrix& b) {
  for (unsigned long i = 0; i < a.of.size(); ++i)
    a.of[i] -= b.of[i];
  return a;
}

static matrix plain(const matrix& a, const matrix& b) {
  matrix c(a.rows, b.columns);
  for (long i = 0; i < a.rows; ++i)
    for (long l = 0; l < a.columns; ++l)
      for (long j = 0; j < b.columns; ++j)
        c.at(i, j) += a.at(i, l) * b.at(l, j);
  return c;
}

static matrix multiply(const matrix& a, const matrix& b, int levels) {
  if (levels == 0 || a.rows % 2 || a.columns % 2 || b.columns % 2)
    return plain(a, b);
  const matrix a11 = a.quarter(0, 0), a12 = a.quarter(0, 1), a21 = a.quarter(1, 0), a22 = a.quarter(1, 1);
  const matrix b11 = b.quarter(0, 0), b12 = b.quarter(0, 1), b21 = b.quarter(1, 0), b22 = b.quarter(1, 1);
  const auto times = [levels](const matrix& p, const matrix& q) { return multiply(p, q, levels - 1); };
  matrix c(a.rows, b.columns);
#ifdef WINOGRAD
  const matrix s1 = a21 + a22, s2 = s1 - a11, s3 = a11 - a21, s4 = a12 - s2;
  const matrix t1 = b12 - b11, t2 = b22 - t1, t3 = b22 - b12, t4 = t2 - b21;
  const matrix p1 = times(a11, b11), p2 = times(a12, b21), p3 = times(s4, b22), p4 = times(a22, t4);
  const matrix p5 = times(s1, t1), p6 = times(s2, t2), p7 = times(s3, t3);
  const matrix u2 = p1 + p6, u3 = u2 + p7, u4 = u2 + p5;
  c.set_quarter(0, 0, p1 + p2);
  c.set_quarter(0, 1, u4 + p3);
  c.set_quarter(1, 0, u3 - p4);
  c.set_quarter(1, 1, u3 + p5);
#else
  const matrix p1 = times(a11 + a22, b11 + b22), p2 = times(a21 + a22, b11), p3 = times(a11, b12 - b22);
  const matrix p4 = times(a22, b21 - b11), p5 = times(a11 + a12, b22);
  const matrix p6 = times(a21 - a11, b11 + b12), p7 = times(a12 - a22, b21 + b22);
  c.set_quarter(0, 0, p1 + p4 - p5 + p7);
  c.set_quarter(0, 1, p3 + p5);
  c.set_quarter(1, 0, p2 + p4);
  c.set_quarter(1, 1, p1 - p2 + p3 + p6);
#endif
  return c;
}

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const long m = axes[0], k = axes[1], n = axes[2], unit = 1l << LEVELS;
  const auto up = [unit](long v) { return (v + unit - 1) / unit * unit; };
  const float *x = (const float*)in[0].data, *y = (const float*)in[1].data;
  matrix a(up(m), up(k)), b(up(k), up(n)); // padded with zeros
  bool finite = true;
  for (long i = 0; i < m; ++i)
    for (long l = 0; l < k; ++l) {
      a.at(i, l) = x[i * k + l];
      finite &= x[i * k + l] - x[i * k + l] == 0;
    }
  for (long l = 0; l < k; ++l)
    for (long j = 0; j < n; ++j) {
      b.at(l, j) = y[l * n + j];
      finite &= y[l * n + j] - y[l * n + j] == 0;
    }
  const matrix c = multiply(a, b, finite ? LEVELS : 0);
  for (long i = 0; i < m; ++i)
    for (long j = 0; j < n; ++j)
      ((float*)out[0].data)[i * n + j] = (float)c.at(i, j);
  return 0;
}
