// model.h - the seam to Python: token ids in, one vector per sequence out.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "model/layers.h"

namespace gemlet {

struct Pass;
struct Workspace;

// Sequences laid end to end without padding.
struct Batch {
  const int32_t* input_ids;   // [tokens], each in [0, vocab_size)
  const int32_t* cu_seqlens;  // [sequences + 1], from 0 to tokens, each sequence 1 to max_position_embeddings long
  size_t sequences;

  size_t tokens() const { return static_cast<size_t>(cu_seqlens[sequences]); }
};

// Immutable once made: any number of threads may call at once. A sequence's results depend on its own ids alone,
// bit for bit: not on the rest of the batch, its order or the number of threads.
class Model {
 public:
  // `files`: safetensors files, each with the prefix of its tensors' names. Throws Error when they do not make up the
  // model that `config` describes.
  Model(Config config, const std::vector<std::pair<std::string, std::string>>& files, Storage storage,
        const Kernels& kernels, size_t threads);
  ~Model();

  const Config& config() const { return config_; }
  const Kernels& kernels() const { return kernels_; }
  size_t threads() const { return pool_.threads(); }

  // out: [sequences, embedding_size], behind the dense head, not normalised. seconds: where the time went, by Stage.
  void embed(const Batch& batch, float* out, std::vector<double>* seconds = nullptr) const;

  // out: [tokens, hidden_size], behind the final norm.
  void token_embeddings(const Batch& batch, float* out) const;

  // For q/k/v, o, gate/up and down of each layer the mean over the tokens of the square of each input. Throws
  // Error(kInput) unless the storage is kBF16, whose inputs have the same bits on every ISA.
  std::vector<std::vector<double>> mean_squares(const Batch& batch) const;

  // out: [tokens, hidden_size], the residual stream behind the first `layers` layers; for tests, stage by stage.
  void hidden_states(const Batch& batch, size_t layers, float* out) const;

 private:
  class Lease;
  void check(const Batch& batch) const;
  void run_layers(const Pass& pass, const int32_t* input_ids, size_t layers) const;

  const Config config_;
  const Kernels& kernels_;
  mutable ThreadPool pool_;
  std::vector<MappedFile> files_;
  Weights weights_;
  mutable std::atomic<Workspace*> spare_{nullptr};
};

}  // namespace gemlet
