// gguf_probe FILE.gguf OUT.safetensors: the tensors as they are loaded; prints what config.json would say.
// gguf_probe --blocks TYPE FLOATS OUT: float32 numbers of one file as blocks of GGUF's type of that number.
#include <iostream>

#include <ATen/ATen.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/files.h>
#include <antiphon/weights/checkpoint.h>
#include <antiphon/weights/ggml_blocks.h>
#include <antiphon/weights/gguf_checkpoint.h>

namespace {

using namespace antiphon;

void write_numbers(const char* type, const char* from, const char* to) {
  const auto bytes = read_file(from, ErrorKind::data);
  const std::span numbers(reinterpret_cast<const float*>(bytes.data()), bytes.size() / sizeof(float));
  write_file_atomic(to, weights::write_blocks(static_cast<GgmlType>(std::stoi(type)), numbers), ErrorKind::data);
}

void write_tensors(const char* from, const char* to) {
  const weights::Checkpoint checkpoint(from);
  weights::NamedTensors tensors;
  for (const auto& name : checkpoint.names()) tensors.emplace_back(name, checkpoint.tensor(name));
  weights::save_safetensors(to, weights::lazy(tensors));
  std::cout << weights::gguf_config(from).dump() << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 5 && std::string_view(argv[1]) == "--blocks")
      write_numbers(argv[2], argv[3], argv[4]);
    else
      write_tensors(argc > 2 ? argv[1] : "", argc > 2 ? argv[2] : "");
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return static_cast<int>(error.kind());
  }
}
