#include "actors/tree.hpp"

#include "protocol/check.hpp"

#include <algorithm>

namespace kevolve::search {
namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9')
    return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

} // namespace

candidate_key key_of(std::string_view id) noexcept {
  candidate_key key;
  bool is_hash = id.size() == 64;
  for (std::size_t i = 0; is_hash && i < 32; ++i) {
    int digit = hex_digit(id[i]);
    is_hash = digit >= 0;
    key.words[i / 16] = key.words[i / 16] << 4 | static_cast<std::uint64_t>(digit & 15);
  }
  if (is_hash)
    return key;
  key.words = {id.size(), ~id.size()}; // not one of ours: two independent mixes of its characters
  for (char c : id)
    key.words = {mix(key.words[0], static_cast<unsigned char>(c)), mix(key.words[1], ~std::uint64_t{static_cast<unsigned char>(c)})};
  return key;
}

node_number tree::add(node_number parent, node_number second) {
  auto n = size();
  KEVOLVE_CHECK(parent == no_node ? n == 0 : parent < n);
  KEVOLVE_CHECK(second == no_node || second < n);
  auto& node = nodes_.emplace_back();
  node.parent = parent;
  node.second = second;
  if (parent != no_node) {
    auto& above = nodes_[parent];
    ++above.children;
    ++above.live_children;
    node.generation = std::max(above.generation, second == no_node ? std::uint16_t{0} : nodes_[second].generation);
    if (node.generation != std::numeric_limits<std::uint16_t>::max())
      ++node.generation;
  }
  return n;
}

void tree::pass(node_number n) {
  auto& node = nodes_[n];
  KEVOLVE_CHECK(node.status == node_status::waiting);
  node.status = node_status::passed;
  passed_.push_back(n);
}

void tree::retire(node_number n, node_status as) {
  auto& node = nodes_[n];
  KEVOLVE_CHECK(as == node_status::failed || as == node_status::closed);
  KEVOLVE_CHECK(node.status != node_status::failed && node.status != node_status::closed);
  if (node.parent != no_node) {
    auto& above = nodes_[node.parent];
    KEVOLVE_CHECK(above.live_children > 0);
    --above.live_children;
  }
  if (node.status == node_status::passed)
    std::erase(passed_, n);
  node.status = as;
}

node_number tree::find(const candidate_key& key) const {
  if (slots_.empty())
    return no_node;
  const auto mask = slots_.size() - 1;
  for (auto i = key.words[0] & mask; slots_[i] != no_node; i = (i + 1) & mask)
    if (nodes_[slots_[i]].key == key)
      return slots_[i];
  return no_node;
}

void tree::index(node_number n) {
  if (slots_.size() < 2 * (indexed_ + 1))
    grow();
  const auto mask = slots_.size() - 1;
  auto i = nodes_[n].key.words[0] & mask;
  while (slots_[i] != no_node)
    i = (i + 1) & mask;
  slots_[i] = n;
  ++indexed_;
}

void tree::grow() {
  auto old = std::move(slots_);
  slots_.assign(std::max<std::size_t>(64, 2 * old.size()), no_node);
  indexed_ = 0;
  for (auto n : old)
    if (n != no_node)
      index(n);
}

std::size_t tree::bytes() const {
  return nodes_.capacity() * sizeof(tree_node) + (passed_.capacity() + slots_.capacity()) * sizeof(node_number);
}

std::uint64_t tree::digest() const {
  std::uint64_t digest = nodes_.size();
  for (const auto& n : nodes_) {
    for (auto part : {n.key.words[0], n.key.words[1], std::uint64_t{n.parent} << 32 | n.second, std::uint64_t{n.children} << 32 | n.live_children, std::uint64_t{n.ordinal} << 32 | n.strategy,
                      std::uint64_t{n.generation} << 40 | std::uint64_t{n.island} << 32 | static_cast<std::uint64_t>(n.status) << 24 |
                        static_cast<std::uint64_t>(n.limited_by) << 16 | static_cast<std::uint64_t>(n.result) << 8 |
                        static_cast<std::uint64_t>(n.memory)})
      digest = mix(digest, part);
    digest = mix_real(mix_real(digest, n.fitness), n.error);
  }
  return digest;
}

} // namespace kevolve::search
