@echo off
rem Runs at each logon of an image that was made by qemu-scripts/windows: starts what a CD asks for, if one does.
for %%d in (D E F G H I J K L M N O P Q R S T U V W Y Z) do (
    if exist %%d:\ringwave\run.cmd (
        call %%d:\ringwave\run.cmd
        exit /b
    )
)
