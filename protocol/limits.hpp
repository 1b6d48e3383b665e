// Every bound of the wire and the store in one place, with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kevolve::limits {

inline constexpr std::size_t frame_bytes = 8u << 20;        // ZMQ_MAXMSGSIZE; larger things travel as blobs in chunks
inline constexpr std::size_t inline_bytes = 1u << 20;       // of a lease's work or answer; larger ones go as blobs: a frame that is cut off is sent again whole
inline constexpr std::size_t piece_bytes = 256u << 10;      // of a blob, in one frame: a heartbeat waits behind it for 2 ms at a gigabit
inline constexpr std::size_t pieces_under_way = 8;          // of one blob, asked for and not here: 2 MiB keep a gigabit busy over 16 ms
inline constexpr std::size_t artifact_bytes = 64u << 20;    // what a compiler may leave
inline constexpr std::size_t blob_bytes = 128u << 20;       // an encoded work or answer: an operator file and its candidates
inline constexpr std::size_t decode_depth = 16;             // deepest message we send is 9
inline constexpr std::size_t decode_slack = 4u << 20;       // memory of elements that any value may take: what our own messages below 1 MiB need,
inline constexpr std::size_t decode_expansion = 2;          // and per byte of input; with the strings' own memory at most 4 (an empty string is 1 byte there and 32 here)
inline constexpr std::size_t log_bytes = 64u << 10;         // compiler messages kept per evaluation
inline constexpr std::size_t source_bytes = 1u << 20;       // per candidate
inline constexpr std::size_t specification_bytes = 64u << 20; // an operator file
inline constexpr std::size_t tensor_bytes = std::size_t{8} << 30; // one input or output of a workload
inline constexpr std::size_t graph_nodes = 100'000;
inline constexpr std::size_t rank = 16;

} // namespace kevolve::limits
