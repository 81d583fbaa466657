//! What the commands share that call a control socket.
