// The tensors of an exported directory: under which names, and where their values come from. Used by export.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <set>

#include <antiphon/component/peft.h>
#include <antiphon/model/multimodal_lm.h>
#include <antiphon/weights/checkpoint.h>
#include <antiphon/weights/lazy_tensor.h>

namespace antiphon::model {

class ExportTensors {
 public:
  explicit ExportTensors(std::optional<at::ScalarType> dtype) : dtype_(dtype) {}

  // A source's tensor as it is, for the part at `path` or for none.
  void copy(const std::string& path, const std::string& name, std::shared_ptr<const weights::Checkpoint> source,
            const std::string& source_name);
  // The tensors of `part` that `source` has: `written` says what each is called in the output, nullopt leaves it out.
  // Those that the part does not use are copied.
  using Naming = std::function<std::optional<std::string>(const std::string&)>;
  void add(const Part& part, std::shared_ptr<const weights::Checkpoint> source, const Naming& written);
  // The parameters of `part` that add() has found in no source, named as `names` says; what the file of such a part
  // holds as one becomes one (weights/stacked.h). Error(config) if a parameter has no name.
  void add_rest(const Part& part, const NameMap& names);

  // Takes a tensor out again, if there is one of that name.
  void leave_out(const std::string& name);

  const weights::LazyTensors& tensors() const { return tensors_; }
  size_t changed() const { return changed_; }
  // The floating-point format of most of the bytes: of the part at `path`, or of all parts.
  at::ScalarType dtype(const std::string& path = {}) const;

 private:
  void write(const std::string& path, weights::LazyTensor tensor, bool changed);
  void stack(const std::string& path, const NameMap& names);
  at::ScalarType format(at::ScalarType source) const;
  std::optional<at::ScalarType> dtype_;
  weights::LazyTensors tensors_;
  std::map<std::string, std::string> owners_;           // the path of each, by name
  std::map<std::string, std::set<std::string>> found_;  // parameters that have been written, by part
  size_t changed_ = 0;
};

}  // namespace antiphon::model
