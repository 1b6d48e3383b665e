// what: chains a row's elements into lists, trees and heaps of nodes before it adds them up
// operator: rows
// flags: -O2
// variants: -DKIND=1 | -DKIND=2 | -DKIND=3 | -DKIND=4
#include "kevolve.h"

#include <vector>

struct node {
  float value = 0;
  kevolve_int64 column = 0;
  node *left = nullptr, *right = nullptr;
};

#if KIND == 2
static node* tree(std::vector<node>& all, const float* x, kevolve_int64 from, kevolve_int64 to) {
  if (from == to)
    return nullptr;
  const kevolve_int64 middle = from + (to - from) / 2;
  node& n = all[(unsigned long)middle];
  n = {x[middle], middle, tree(all, x, from, middle), tree(all, x, middle + 1, to)};
  return &n;
}
static float sum(const node* n) { return n ? sum(n->left) + n->value * n->value + sum(n->right) : 0; }
static void scale(const node* n, float r, const float* w, float* y) {
  if (!n)
    return;
  y[n->column] = n->value * r * w[n->column];
  scale(n->right, r, w, y);
  scale(n->left, r, w, y);
}
#elif KIND == 4
static void drop(node* n) {
  if (n) {
    drop(n->left);
    drop(n->right);
    delete n;
  }
}
#endif

extern "C" int kevolve_run(const kevolve_tensor* in, kevolve_tensor* out, const kevolve_int64* axes, void*, void*) {
  const kevolve_int64 m = axes[0], h = axes[1];
  std::vector<node> all((unsigned long)h);
  for (kevolve_int64 i = 0; i < m; ++i) {
    const float *x = (const float*)in[0].data + i * h, *w = (const float*)in[1].data;
    float* y = (float*)out[0].data + i * h;
    float s = 0;
#if KIND == 1 // a list, every seventh element the next one
    const kevolve_int64 step = 7;
    node* first = nullptr;
    for (kevolve_int64 start = 0; start < step; ++start)
      for (kevolve_int64 j = start; j < h; j += step) {
        all[(unsigned long)j] = {x[j], j, nullptr, first};
        first = &all[(unsigned long)j];
      }
    for (const node* n = first; n; n = n->right)
      s += n->value * n->value;
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (const node* n = first; n; n = n->right)
      y[n->column] = n->value * r * w[n->column];
#elif KIND == 2 // a balanced tree
    const node* root = tree(all, x, 0, h);
    s = sum(root);
    scale(root, 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f), w, y);
#elif KIND == 3 // each node knows both neighbours: read forwards, written backwards
    for (kevolve_int64 j = 0; j < h; ++j)
      all[(unsigned long)j] = {x[j], j, j ? &all[(unsigned long)j - 1] : nullptr, j + 1 < h ? &all[(unsigned long)j + 1] : nullptr};
    const node *at = all.data(), *last = at;
    for (; at; last = at, at = at->right)
      s += at->value * at->value;
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (; last; last = last->left)
      y[last->column] = last->value * r * w[last->column];
#else // a search tree of single allocations, by column's reversed bits
    node* root = nullptr;
    for (kevolve_int64 j = 0; j < h; ++j) {
      unsigned key = (unsigned)j;
      node** place = &root;
      for (; *place; key >>= 1)
        place = key & 1 ? &(*place)->left : &(*place)->right;
      *place = new node{x[j], j, nullptr, nullptr};
    }
    std::vector<const node*> open{root};
    while (!open.empty()) {
      const node* n = open.back();
      open.pop_back();
      s += n->value * n->value;
      for (const node* next : {n->left, n->right})
        if (next)
          open.push_back(next);
    }
    const float r = 1.0f / __builtin_sqrtf(s / (float)h + 1e-6f);
    for (kevolve_int64 j = 0; j < h; ++j)
      y[j] = x[j] * r * w[j];
    drop(root);
#endif
  }
  return 0;
}
