// The [train.mlflow] part of a configuration.
#pragma once
#include <string>

#include <antiphon/config/schema.h>

namespace antiphon::train {

struct MlflowOptions {
  std::string uri = {}, experiment = "antiphon", run_name = {};
};

const config::Table<MlflowOptions>& mlflow_table();

}  // namespace antiphon::train
