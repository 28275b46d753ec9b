"""Why a server of our own cannot run."""

from tallystick.kernel.errors import Unavailable


class ServerNotFound(Unavailable):
    """No usable binary on this machine."""

    code = "server_not_found"


class ServerNotStarted(Unavailable):
    """The binary is there and did not come up; the sentence quotes the end of its log."""

    code = "server_not_started"


class DataFolderBusy(Unavailable):
    """Another process holds the data folder."""

    code = "data_folder_busy"
