#include <antiphon/checkpoint/checkpoint_writer.h>

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/log.h>
#include <antiphon/base/strings.h>
#include <antiphon/kernels/stream_copy.h>

#include <chrono>
#include <cstring>

namespace antiphon::checkpoint {
namespace {

namespace fs = std::filesystem;
using weights::NamedTensors;

uint64_t bytes(const NamedTensors& tensors) {
  uint64_t sum = 0;
  for (const auto& [name, tensor] : tensors) sum += weights::stored_bytes(tensor);
  return sum;
}

bool holds(const at::Tensor& buffer, const at::Tensor& value) {
  return buffer.defined() && buffer.scalar_type() == value.scalar_type() && buffer.sizes() == value.sizes();
}

at::Tensor room_for(const at::Tensor& value) {
  return at::empty(value.sizes(), at::TensorOptions().dtype(value.scalar_type()));
}

void shape_like(NamedTensors& buffers, const NamedTensors& values) {
  buffers.resize(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    buffers[i].first = values[i].first;
    if (!holds(buffers[i].second, values[i].second)) buffers[i].second = room_for(values[i].second);
  }
}

void copy_values(NamedTensors& buffers, const NamedTensors& values) {
  for (size_t i = 0; i < values.size(); ++i) kernels::stream_copy(buffers[i].second, values[i].second);
}

void shape_like(checkpoint::CheckpointContent& copy, const checkpoint::CheckpointContent& content) {
  try {
    shape_like(copy.parameters, content.parameters);
    shape_like(copy.state, content.state);
  } catch (const std::exception&) {  // LibTorch's allocator throws its own
    const auto needed = static_cast<double>(bytes(content.parameters) + bytes(content.state));
    copy = {};
    fail(ErrorKind::memory,
         fmt::format("no memory for the copy of {} that a checkpoint is written from", human_bytes(needed)),
         "train fewer parameters, or on a machine with more free memory");
  }
}

}  // namespace

CheckpointWriter::CheckpointWriter(const fs::path& folder, int64_t keep)
    : CheckpointWriter([folder, keep](int64_t step, const CheckpointContent& content) {
        return save_checkpoint(folder, step, content, keep);
      }) {}

CheckpointWriter::~CheckpointWriter() {
  try {
    wait();
  } catch (const std::exception& error) {
    log::warning(fmt::format("the last checkpoint could not be written: {}", error.what()));
  }
}

void CheckpointWriter::prepare(const checkpoint::CheckpointContent& content) {
  wait();
  shape_like(copy_, content);
  writing_ = std::async(std::launch::async, [this] {
    for (auto* buffers : {&copy_.parameters, &copy_.state})
      for (auto& [name, buffer] : *buffers) std::memset(buffer.data_ptr(), 0, buffer.nbytes());
    return Written{};
  });
}

void CheckpointWriter::save(int64_t step, const checkpoint::CheckpointContent& content) {
  wait();
  const at::NoGradGuard no_grad;
  shape_like(copy_, content);
  copy_values(copy_.parameters, content.parameters);
  copy_values(copy_.state, content.state);
  copy_.progress = content.progress, copy_.boxes = content.boxes;
  writing_ = std::async(std::launch::async, [this, step] { return Written{write_(step, copy_)}; });
}

std::optional<fs::path> CheckpointWriter::wait() { return writing_.valid() ? writing_.get() : Written{}; }

std::optional<fs::path> CheckpointWriter::poll() {
  using namespace std::chrono_literals;
  return writing_.valid() && writing_.wait_for(0s) == std::future_status::ready ? writing_.get() : Written{};
}

}  // namespace antiphon::checkpoint
