// The model that an objective compares with: every tensor that is trained, as it was when the run began. The frozen
// ones are shared with the model that is trained.
#pragma once
#include <exception>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <antiphon/checkpoint/piece_files.h>
#include <antiphon/component/module.h>

namespace antiphon::checkpoint {

inline constexpr const char* kReference = "reference";  // kind of its files, in the folder of a run

class Reference {
 public:
  // Takes the values of what this process has of the trained parameters.
  explicit Reference(const std::vector<Parameter>& own);
  // Those of the files in a folder, by however many processes they were written. Error(weights) if they are not what
  // `digest` says, or do not fit `own`.
  Reference(const std::vector<Parameter>& own, const std::filesystem::path& folder, const std::string& digest);

  // Writes this process's share, those for which `holds` is true, and returns its digest. The digest of all is that of
  // all shares in their order, kJoined between them.
  std::string write(const std::filesystem::path& folder, Share share,
                    const std::function<bool(const Parameter&)>& holds) const;
  static constexpr char kJoined = '+';
  const std::string& digest() const { return digest_; }
  void set_digest(std::string digest) { digest_ = std::move(digest); }
  // What is to be done whenever the values were exchanged, by whoever has made others of them.
  void on_exchange(std::function<void()> body) { on_exchange_ = std::move(body); }

  // While an object of this class lives, the model computes with the reference's values: the tensors are exchanged, so
  // graphs that were recorded before keep theirs.
  class Scope {
   public:
    explicit Scope(Reference& reference) : reference_(reference) { reference_.exchange(true); }
    // What it calls may throw, and is left out if the scope is left by an exception.
    ~Scope() noexcept(false) { reference_.exchange(std::uncaught_exceptions() == before_); }
    Scope(const Scope&) = delete;

   private:
    Reference& reference_;
    int before_ = std::uncaught_exceptions();
  };

 private:
  void exchange(bool tell);
  struct Value {
    Parameter of;
    at::Tensor tensor;  // what is not in it at present
  };
  std::vector<Value> values_;
  std::string digest_;
  std::function<void()> on_exchange_;
};

}  // namespace antiphon::checkpoint
