// Files of tensors that one process writes whole, or several in pieces.
#pragma once
#include <filesystem>
#include <string>

#include <antiphon/checkpoint/stored_tensor.h>
#include <antiphon/weights/checkpoint.h>

namespace antiphon::checkpoint {

// Which of the processes that write together.
struct Share {
  int index = 0, count = 1;
};

// "parameters.safetensors", or one of several: "parameters_00001-of-00004.safetensors".
std::string file_of(const std::string& kind, Share share);

// Whose boxes are not named are whole. Error(weights) on I/O.
void save_pieces(const std::filesystem::path& file, const weights::NamedTensors& tensors, const Boxes& boxes);
// Adds what the file holds. Error(weights) if it is damaged, or does not fit what is there.
void read_pieces(const std::filesystem::path& file, StoredTensors& tensors);
// All of the files of a kind in a folder; Error(weights) if something of a tensor is missing.
StoredTensors read_all(const std::filesystem::path& folder, const std::string& kind, int shares);

}  // namespace antiphon::checkpoint
