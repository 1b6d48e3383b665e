// MessagePack of anything with an `inspect` field list. Objects are maps from field name to value, so that an older reader skips what it
// does not know and a newer one keeps defaults for what is missing; variants are [index, value]; enums are integers up to
// `enum_max(E)`, which stands beside each enum; optionals nil.
// Decoding is pull-style and bounded: every length is checked against the bytes that remain before anything is allocated, depth against
// limits::decode_depth, memory for elements against limits::decode_expansion, duplicate fields and trailing bytes are refused. Any thread.
#pragma once

#include "protocol/check.hpp"
#include "protocol/limits.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <msgpack/pack.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace kevolve {
namespace codec {

struct string_buffer {
  std::string bytes;
  void write(const char* data, std::size_t size) { bytes.append(data, size); }
};

template <class T>
struct field_ref {
  std::string_view name;
  T* value;
};

class encoder {
public:
  static constexpr bool is_loading = false;

  template <class T>
  struct object_writer {
    encoder* self;
    template <class... Ts>
    bool fields(field_ref<Ts>... refs) {
      self->packer_.pack_map(sizeof...(Ts));
      (self->put_field(refs.name, *refs.value), ...);
      return true;
    }
  };
  template <class T>
  object_writer<T> object(T&) {
    return {this};
  }
  template <class T>
  field_ref<T> field(std::string_view name, T& value) {
    return {name, &value};
  }

  template <class T>
  void put(const T& value) {
    if constexpr (std::is_same_v<T, bool>)
      value ? packer_.pack_true() : packer_.pack_false();
    else if constexpr (std::is_floating_point_v<T>)
      packer_.pack_double(value);
    else if constexpr (std::is_enum_v<T> || std::is_unsigned_v<T>)
      packer_.pack_uint64(static_cast<std::uint64_t>(value));
    else if constexpr (std::is_integral_v<T>)
      packer_.pack_int64(value);
    else
      inspect(*this, const_cast<T&>(value)); // an encoder only reads
  }
  void put(const std::string& value) {
    packer_.pack_str(static_cast<std::uint32_t>(value.size()));
    packer_.pack_str_body(value.data(), static_cast<std::uint32_t>(value.size()));
  }
  template <class T>
  void put(const std::vector<T>& values) {
    packer_.pack_array(static_cast<std::uint32_t>(values.size()));
    for (const auto& value : values)
      put(value);
  }
  template <class A, class B>
  void put(const std::pair<A, B>& value) {
    packer_.pack_array(2);
    put(value.first);
    put(value.second);
  }
  template <class T>
  void put(const std::optional<T>& value) {
    if (value)
      put(*value);
    else
      packer_.pack_nil();
  }
  template <class... Ts>
  void put(const std::variant<Ts...>& value) {
    packer_.pack_array(2);
    packer_.pack_uint64(value.index());
    std::visit([this](const auto& x) { put(x); }, value);
  }

  std::string take() && { return std::move(buffer_.bytes); }

private:
  template <class T>
  void put_field(std::string_view name, const T& value) {
    packer_.pack_str(static_cast<std::uint32_t>(name.size()));
    packer_.pack_str_body(name.data(), static_cast<std::uint32_t>(name.size()));
    put(value);
  }
  string_buffer buffer_;
  msgpack::packer<string_buffer> packer_{buffer_};
};

/// A bounded cursor over MessagePack bytes. Every call returns false once anything was wrong; `problem()` says what and where.
class reader {
public:
  explicit reader(std::string_view bytes) : bytes_(bytes), memory_left_(limits::decode_slack + limits::decode_expansion * bytes.size()) {}

  bool read_nil_if_present();
  bool read_boolean(bool& value);
  bool read_unsigned(std::uint64_t& value);
  bool read_signed(std::int64_t& value);
  bool read_real(double& value);            // accepts integers
  bool read_string(std::string_view& value); // a view into the input
  bool read_array(std::size_t& count);       // count <= remaining bytes
  bool read_map(std::size_t& count);         // 2 * count <= remaining bytes
  bool skip();                               // one whole value, depth bounded
  bool enter();                              // depth
  void leave() { --depth_; }
  bool charge(std::size_t memory);           // what an element takes: bounded in proportion to the input
  bool at_end() const { return offset_ == bytes_.size(); }
  bool fail(std::string what);
  bool ok() const { return problem_.empty(); }
  const std::string& problem() const { return problem_; }

private:
  bool take(std::size_t count, const unsigned char*& data);
  bool peek(unsigned char& tag);
  std::string_view bytes_;
  std::size_t offset_ = 0;
  std::size_t depth_ = 0;
  std::size_t memory_left_;
  std::string problem_;
};

class decoder {
public:
  static constexpr bool is_loading = true;
  explicit decoder(std::string_view bytes) : in_(bytes) {}

  template <class T>
  struct object_reader {
    decoder* self;
    template <class... Ts>
    bool fields(field_ref<Ts>... refs) {
      return self->get_fields(refs...);
    }
  };
  template <class T>
  object_reader<T> object(T&) {
    return {this};
  }
  template <class T>
  field_ref<T> field(std::string_view name, T& value) {
    return {name, &value};
  }

  template <class T>
  bool get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      return in_.read_boolean(value);
    } else if constexpr (std::is_enum_v<T>) {
      std::uint64_t raw = 0;
      if (!in_.read_unsigned(raw))
        return false;
      if (raw > enum_max(value))
        return in_.fail("enumeration value " + std::to_string(raw) + " is not known");
      value = static_cast<T>(raw);
      return true;
    } else if constexpr (std::is_floating_point_v<T>) {
      double raw = 0;
      return in_.read_real(raw) && (value = static_cast<T>(raw), true);
    } else if constexpr (std::is_unsigned_v<T>) {
      std::uint64_t raw = 0;
      if (!in_.read_unsigned(raw))
        return false;
      if (raw > std::numeric_limits<T>::max())
        return in_.fail("integer " + std::to_string(raw) + " does not fit");
      return value = static_cast<T>(raw), true;
    } else if constexpr (std::is_integral_v<T>) {
      std::int64_t raw = 0;
      if (!in_.read_signed(raw))
        return false;
      if (raw > std::numeric_limits<T>::max() || raw < std::numeric_limits<T>::min())
        return in_.fail("integer " + std::to_string(raw) + " does not fit");
      return value = static_cast<T>(raw), true;
    } else {
      if (!in_.enter())
        return false;
      bool good = inspect(*this, value);
      in_.leave();
      return good && in_.ok();
    }
  }
  bool get(std::string& value) {
    std::string_view view;
    return in_.read_string(view) && (value = std::string(view), true); // assign would take twice its length
  }
  template <class T>
  bool get(std::vector<T>& values) {
    std::size_t count = 0;
    if (!in_.read_array(count) || !in_.enter() || !in_.charge(count * sizeof(T))) // before anything is allocated; a count is at most the bytes that remain
      return false;
    values.clear();
    values.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      T value{};
      if (!get(value))
        return false;
      values.push_back(std::move(value));
    }
    in_.leave();
    return true;
  }
  template <class A, class B>
  bool get(std::pair<A, B>& value) {
    std::size_t count = 0;
    if (!in_.read_array(count))
      return false;
    return count == 2 ? get(value.first) && get(value.second) : in_.fail("a pair has " + std::to_string(count) + " elements");
  }
  template <class T>
  bool get(std::optional<T>& value) {
    if (in_.read_nil_if_present())
      return value.reset(), in_.ok();
    return get(value.emplace());
  }
  template <class... Ts>
  bool get(std::variant<Ts...>& value) {
    std::size_t count = 0;
    std::uint64_t index = 0;
    if (!in_.read_array(count) || (count != 2 && !in_.fail("a variant has two elements")) || !in_.read_unsigned(index))
      return false;
    return get_alternative(value, index, std::index_sequence_for<Ts...>{});
  }

  reader& in() { return in_; }

private:
  template <class V, std::size_t... I>
  bool get_alternative(V& value, std::uint64_t index, std::index_sequence<I...>) {
    bool good = false;
    bool found = ((index == I ? (good = get(value.template emplace<I>()), true) : false) || ...);
    return found ? good : in_.fail("variant alternative " + std::to_string(index) + " is not known");
  }
  template <class... Ts>
  bool get_fields(field_ref<Ts>... refs) {
    std::size_t count = 0;
    if (!in_.read_map(count))
      return false;
    std::uint64_t seen = 0;
    static_assert(sizeof...(Ts) <= 64);
    for (std::size_t i = 0; i < count; ++i) {
      std::string_view name;
      if (!in_.read_string(name))
        return false;
      unsigned position = 0;
      bool matched = false, good = true;
      ((refs.name == name ? (matched = true, good = mark(seen, position, name) && get(*refs.value)) : (++position, false)) || ...);
      if (!(matched ? good : in_.skip()))
        return false;
    }
    return true;
  }
  bool mark(std::uint64_t& seen, unsigned position, std::string_view name) {
    if (seen >> position & 1)
      return in_.fail("field '" + std::string(name) + "' occurs twice");
    seen |= std::uint64_t{1} << position;
    return true;
  }
  reader in_;
};

} // namespace codec

/// The MessagePack bytes of `value`.
template <class T>
std::string encode(const T& value) {
  codec::encoder out;
  out.put(value);
  return std::move(out).take();
}

/// Decodes all of `bytes`; an error names the offset and what was wrong.
template <class T>
result<T> decode(std::string_view bytes) {
  codec::decoder in(bytes);
  T value{};
  bool good = in.get(value);
  if (good && !in.in().at_end())
    good = in.in().fail("bytes follow the value");
  if (!good || !in.in().ok())
    return error{errc::damaged, in.in().problem()};
  return value;
}

} // namespace kevolve
