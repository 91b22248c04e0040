// The model that an objective compares with: every tensor that is trained, as it was when the run began. The frozen
// ones are shared with the model that is trained.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <antiphon/component/module.h>

namespace antiphon::checkpoint {

inline constexpr const char* kReferenceFile = "reference.safetensors";  // in the folder of a run

class Reference {
 public:
  // Takes the values of `trained` and keeps them in `file`, which is written once; empty: another process writes it.
  Reference(const std::vector<Parameter>& trained, const std::filesystem::path& file);
  // Those of `file`. Error(weights) if it is not what `digest` says, or does not fit `trained`.
  Reference(const std::vector<Parameter>& trained, const std::filesystem::path& file, const std::string& digest);

  const std::string& digest() const { return digest_; }  // of the file

  // While an object of this class lives, the model computes with the reference's values: the tensors are exchanged, so
  // graphs that were recorded before keep theirs.
  class Scope {
   public:
    explicit Scope(Reference& reference) : reference_(reference) { reference_.exchange(); }
    ~Scope() { reference_.exchange(); }
    Scope(const Scope&) = delete;

   private:
    Reference& reference_;
  };

 private:
  void exchange();
  std::vector<std::pair<at::Tensor*, at::Tensor>> values_;  // the parameter, and what is not in it at present
  std::string digest_;
};

}  // namespace antiphon::checkpoint
