"""Reaching hosts over SSH: the real ``Connector``. The only package that imports paramiko."""

from opsconsole.ssh.connector import ParamikoConnector

__all__ = ["ParamikoConnector"]
