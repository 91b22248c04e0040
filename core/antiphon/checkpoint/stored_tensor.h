// A tensor of a checkpoint: whole, or in pieces that several processes have written.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <antiphon/component/module.h>

namespace antiphon::checkpoint {

// Boxes of what several processes write, by the names of the tensors; others are whole.
using Boxes = std::map<std::string, Box>;

class StoredTensor {
 public:
  StoredTensor() = default;
  StoredTensor(const at::Tensor& whole);  // NOLINT(google-explicit-constructor): what is whole is a stored tensor, too
  // A piece of it; Error(weights) if it does not lie in a tensor of the shape that the others have.
  void add(const at::Tensor& values, const Box& box);
  // Error(weights) unless the pieces cover it, each element once.
  void check(const std::string& name) const;

  const std::vector<int64_t>& sizes() const { return sizes_; }
  at::ScalarType dtype() const { return pieces_.front().values.scalar_type(); }
  at::Tensor whole() const;
  // Of these sizes, from `begin` on; a view of a file if it lies in one piece.
  at::Tensor read(const std::vector<int64_t>& begin, at::IntArrayRef sizes) const;
  // What the parameter's tensor holds of it. Error(weights) unless the shapes agree.
  at::Tensor read(const Parameter& parameter) const;

 private:
  struct Piece {
    at::Tensor values;
    std::vector<int64_t> begin;
  };
  std::vector<int64_t> sizes_;
  std::vector<Piece> pieces_;
};
using StoredTensors = std::map<std::string, StoredTensor>;

// Into the metadata of a file, and back. Error(weights) naming the file if that is damaged.
std::string boxes_to_text(const Boxes& boxes);
Boxes boxes_of_text(const std::string& text, const std::string& file);

}  // namespace antiphon::checkpoint
