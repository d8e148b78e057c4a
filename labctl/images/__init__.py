"""Image sequences of other programs, and of labctl's own, as twins.nca.Frames.

    frames = read_images("film.tif", every=2, downsample=2, dt=0.5)
    images = open_images(["a.npz", "b.npz"], ImageTreatments(axes="tyxc"))     # images.told, images.done: what was done
    write_frames(Path("film.gif"), frames)

TIFF stacks, NPZ and NPY, Zarr, HDF5 and netCDF 4, folders of pictures. Nothing is run or unpickled, nothing outside the file
is opened, and a file that claims more than it should is refused before memory is taken.
"""

from labctl.images.errors import ImagesError
from labctl.images.reading import Images, open_images, read_images
from labctl.images.treatments import ImageTreatments
from labctl.images.writing import write_frames

__all__ = ["ImageTreatments", "Images", "ImagesError", "open_images", "read_images", "write_frames"]
