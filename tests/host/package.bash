package() { check "apt installs the package" trial_install; }
trial_install() { on_host apt-get install -y /root/rouse.deb; }
