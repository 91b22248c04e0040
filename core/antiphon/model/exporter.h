// How export_model() writes one model. Used inside this area: export.cpp decides what is written and writes language
// models, export_whole.cpp writes whole models.
#pragma once
#include <map>
#include <set>

#include <nlohmann/json_fwd.hpp>

#include <antiphon/model/export.h>
#include <antiphon/model/export_parts.h>
#include <antiphon/model/whole_model.h>

namespace antiphon::model {

class Exporter {
 public:
  Exporter(Model& model, const std::filesystem::path& output, const ExportOptions& options)
      : model_(model.lm()),
        pairs_(model.pairs()),
        output_(output),
        options_(options),
        places_(places_of(model)),
        llm_(places_.front().part),
        tensors_(options.dtype) {}

  ExportReport run();

 private:
  ExportReport export_whole(const WholeModel& whole);
  ExportReport export_folders(const WholeModel& whole);
  ExportReport export_language_model(const std::string& why);
  ExportReport export_gguf();
  ExportReport export_gguf_pair(const WholeModel& whole);
  nlohmann::json add_language_model();
  void add_scores(const Place& head, nlohmann::json& config);
  nlohmann::json add_whole(const WholeModel& whole);
  void copy_rest(const WholeModel& whole, const std::shared_ptr<const weights::Checkpoint>& source,
                 const std::set<std::string>& owned);
  void add_swapped(const Part& part, const WholePart& place, nlohmann::json& config);
  std::string add_beside();
  std::string write_beside(const Place& place);
  void write_swapped_processor() const;
  void write_directory(const std::filesystem::path& folder, nlohmann::json config) const;
  ExportReport report(std::string what, std::string beside) const {
    return {tensors_.tensors().size(), tensors_.changed(), std::move(what), std::move(beside), {}};
  }

  MultimodalLm& model_;
  bool pairs_;
  const std::filesystem::path& output_;
  const ExportOptions& options_;
  const std::vector<Place> places_;
  const Part& llm_;
  ExportTensors tensors_;
  std::map<std::string, int64_t> left_out_;  // tensors of other parts of a larger model, by the first of their names
  std::filesystem::path processor_;          // where the files lie that say how pictures go into a whole model
};

// Why the model is not what its language model's directory holds; empty if it is.
std::string why_not_whole(const std::vector<Place>& places, const WholeModel& whole);

}  // namespace antiphon::model
