// Turns the weights of a published model into a checkpoint that holds values alone, tensor by tensor.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_writer.hpp"
#include "checkpoint/hugging_face_names.hpp"

namespace ferula {

struct ImportRequest {
  std::string target;  // the folder of the checkpoint; must not exist
  DType dtype = DType::f32;
  SaveRequest save;
};

/// The narrowest type of checkpoints that holds all these values exactly: bf16 where all are BF16, else f32.
DType exact_dtype(const std::vector<TensorFilling>& fillings);

/// Writes the checkpoint: all of it is there in the end, or nothing. What an import that died has left is removed
/// first. DataError where the target exists or another process imports to it, or a value is not finite; CapacityError
/// where the disk is too small. Cost: reads each tensor once and the new file once, 8 MiB of buffers.
void import_weights(FileSystem& files, Device& device, const SafetensorsFolder& folder,
                    const std::vector<TensorFilling>& fillings, const ImportRequest& request);

}  // namespace ferula
