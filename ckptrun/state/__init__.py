"""What is inside checkpoints: named tensors, read one by one without any framework, and averages of them.

    tensor      the nouns: a tensor, and all that a file holds
    dtypes      the kinds of numbers, their widths, their names elsewhere
    data        where a tensor's bytes are, and how they come, a block at a time
    reading     one file, or all files of a checkpoint → their tensors
    formats: safetensors, arrays (.npy, .npz), torchfile (.pt), dcp, hdf5, gomlx
    unpickle    pickles without executing anything: an interpreter of our own, and what it knows
    numbers     bytes ↔ numpy; stats, compare: what can be said of tensors
    mean        the average of several checkpoints
    writing     safetensors and .npz, a block at a time

Names, shapes and sizes need nothing but this package; numbers need numpy (`pip install 'ckptrun[state]'`), HDF5 needs h5py.
"""
