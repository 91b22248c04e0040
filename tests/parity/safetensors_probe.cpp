// Driven by safetensors_parity.py and torch_file_parity.py. Lines on stdin, answered by {"error": text} or
//   read PATH           -> {"metadata": {...}, "tensors": {name: [dtype, shape, bytes in hex or null]}}
//   copy SOURCE TARGET  -> the same for TARGET, which is SOURCE written again
//   open PATH           -> {"warnings": [...], "tensors": likewise}, of whatever Checkpoint takes
#include <antiphon/weights/checkpoint.h>
#include <antiphon/weights/safetensors.h>

#include <iostream>
#include <sstream>

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>

using namespace antiphon;
using namespace antiphon::weights;
using nlohmann::json;

namespace {

template <class File>
json bytes_of(const File& file, const std::string& name) {
  at::Tensor tensor;
  try {
    tensor = file.tensor(name);
  } catch (const Error&) {
    return nullptr;  // F4 and F6, and shapes beyond LibTorch
  }
  std::string hex;
  const auto* data = static_cast<const unsigned char*>(tensor.const_data_ptr());
  for (uint64_t i = 0; i < stored_bytes(tensor); ++i) hex += fmt::format("{:02x}", data[i]);
  return hex;
}

json read(const std::string& path) {
  const SafetensorsFile file(path);
  json tensors = json::object();
  for (const auto& info : file.tensors())
    tensors[info.name] = {to_string(info.dtype), info.shape, bytes_of(file, info.name)};
  return {{"metadata", file.metadata()}, {"tensors", tensors}};
}

json open(const std::string& path) {
  const Checkpoint file(path);
  json tensors = json::object();
  for (const auto& name : file.names())
    tensors[name] = {to_string(file.info(name).dtype), file.info(name).shape, bytes_of(file, name)};
  return {{"warnings", file.warnings()}, {"tensors", tensors}};
}

void copy(const std::string& source, const std::string& target) {
  const SafetensorsFile file(source);
  NamedTensors tensors;
  for (const auto& info : file.tensors()) tensors.emplace_back(info.name, file.tensor(info.name));
  save_safetensors(target, tensors, file.metadata());
}

json answer(const std::string& line) {
  std::istringstream words(line);
  std::string command, source, target;
  words >> command >> source >> target;
  if (command == "open") return open(source);
  if (command == "copy") copy(source, target);
  return read(command == "copy" ? target : source);
}

}  // namespace

int main() {
  std::string line;
  while (std::getline(std::cin, line)) {
    json result;
    try {
      result = answer(line);
    } catch (const Error& error) {
      result = {{"error", error.what()}};
    }
    std::cout << result.dump(-1, ' ', true, json::error_handler_t::replace) << "\n";
  }
}
