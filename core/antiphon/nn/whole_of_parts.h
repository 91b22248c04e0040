// A tensor that is divided among processes, put together.
#pragma once
#include <ATen/core/Tensor.h>

#include <antiphon/comm/group.h>
#include <antiphon/component/module.h>

namespace antiphon::nn {

class Linear;

// Each process of the group has a part of it, of any size, at box.begin of box.whole; some may have the same. -> all of
// it, in each of them.
at::Tensor whole_of_parts(const at::Tensor& part, const Box& box, comm::Group& group);

// The same of a matrix of which this process has the part that it has of a layer's weight; called by all that share the
// layer. A layer that nobody shares has all of it.
at::Tensor whole_of_parts(const at::Tensor& part, Linear& layer);

}  // namespace antiphon::nn
